"""Whether two publishes say the same: a keyed hash over canonical JSON (by the rules of RFC 8785).

The hash covers what the client said with defaults applied: not what the server stamps, not `expected_sequence` or a
condition (a retry may have lost interest in them), and the stream only where it was named. Numbers are compared by
value (1, 1.0 and 1e0 are one), keys are sorted; how the canonical text spells an exponent is never seen outside.
"""

import hashlib
from typing import Any

import orjson

from schema.input import EventInput

_EXACT = 2**53


class ContentHash:
    """Hashes inputs under one installation's key (16 to 64 bytes): the hash of a guessed content proves nothing."""

    def __init__(self, key: bytes) -> None:
        # keyed once: a copy of its state is cheaper than the key again
        self._keyed = hashlib.blake2b(key=key, digest_size=8)

    def of(self, said: EventInput, payload: Any, metadata: Any) -> int:
        """The hash as a signed 64-bit integer. `payload`, `metadata`: the decoded documents of `said`."""
        # apart, since a version such as "1.0" looks like a number in two spellings
        hashed = self._keyed.copy()
        hashed.update(orjson.dumps(_names(said)) + canonical([metadata, payload]))
        return int.from_bytes(hashed.digest(), signed=True)


def canonical(document: Any) -> bytes:
    """The canonical text of a JSON document."""
    text = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    # only a whole number spelled as a float ends in .0; text that looks like it costs a slower walk and nothing else
    return orjson.dumps(_by_value(document), option=orjson.OPT_SORT_KEYS) if b".0" in text else text


def _names(said: EventInput) -> list[Any]:
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
    ]


def _by_value(node: Any) -> Any:
    if isinstance(node, float):
        return int(node) if node.is_integer() and abs(node) < _EXACT else node
    if isinstance(node, dict):
        return {key: _by_value(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_by_value(value) for value in node]
    return node
