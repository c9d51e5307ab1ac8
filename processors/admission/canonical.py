"""Whether two publishes say the same: a keyed hash over canonical JSON (by the rules of RFC 8785).

The hash covers what the client said with defaults applied: not what the server stamps, not `expected_sequence` or a
condition (a retry may have lost interest in them), and the stream only where it was named. Numbers are compared by
value (1, 1.0 and 1e0 are one), keys are sorted; how the canonical text spells an exponent is never seen outside.
"""

import hashlib
import re
from typing import Any

import orjson

from schema.input import EventInput

_MAYBE_INTEGRAL_FLOAT = re.compile(rb"\d\.0*(?!\d)|\d[eE][+-]?\d|-0")
_EXACT = 2**53


class ContentHash:
    """Hashes inputs under one installation's key (16 to 64 bytes): the hash of a guessed content proves nothing."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, said: EventInput, payload: Any, metadata: Any) -> int:
        """The hash as a signed 64-bit integer. `payload`, `metadata`: the decoded documents of `said`."""
        text = canonical(_content(said, payload, metadata), may_hold_floats(said))
        return int.from_bytes(hashlib.blake2b(text, key=self._key, digest_size=8).digest(), signed=True)


def may_hold_floats(said: EventInput) -> bool:
    """Whether a number may be spelled in two ways; strings that look like it only cost a slower walk."""
    return bool(
        _MAYBE_INTEGRAL_FLOAT.search(said.payload)
        or (said.metadata is not None and _MAYBE_INTEGRAL_FLOAT.search(said.metadata))
    )


def canonical(document: Any, normalise_numbers: bool) -> bytes:
    """The canonical text of a JSON document."""
    return orjson.dumps(_by_value(document) if normalise_numbers else document, option=orjson.OPT_SORT_KEYS)


def _content(said: EventInput, payload: Any, metadata: Any) -> list[Any]:
    timestamp = said.timestamp
    return [
        said.event_type,
        said.event_version or "1.0",
        said.source_capability,
        said.aggregate_id,
        said.aggregate_type,
        timestamp.timestamp() if timestamp else None,
        said.correlation_id,
        said.causation_id,
        said.user_id,
        said.schema_version,
        said.stream,
        metadata,
        payload,
    ]


def _by_value(node: Any) -> Any:
    if isinstance(node, float):
        return int(node) if node.is_integer() and abs(node) < _EXACT else node
    if isinstance(node, dict):
        return {key: _by_value(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_by_value(value) for value in node]
    return node
