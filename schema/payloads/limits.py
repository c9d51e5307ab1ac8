"""How large a definition may be: what a check, a comparison or a validator costs is bounded by that."""

from typing import Any

from schema.errors import ErrorCode, EsbError, bad_input

MAX_DEFINITION_BYTES = 256 * 1024
MAX_NESTING = 64
MAX_NODES = 20_000
MAX_VERSIONS = 200
MAX_TYPES = 5000


def check_size(text: str) -> None:
    """Raise PAYLOAD_TOO_LARGE for a definition over the limit."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_DEFINITION_BYTES:
        raise EsbError(
            ErrorCode.PAYLOAD_TOO_LARGE,
            f"the definition has {size} bytes; at most {MAX_DEFINITION_BYTES} are taken",
            details={"bytes": size, "limit": MAX_DEFINITION_BYTES},
        )


def check_shape(document: Any) -> None:
    """Raise BAD_INPUT for a document that is nested too deep or holds too much. Level by level, so that no depth
    overflows Python's stack.
    """
    level, depth, nodes = [document], 0, 0
    while level:
        nodes += len(level)
        if depth > MAX_NESTING or nodes > MAX_NODES:
            raise bad_input(
                f"the definition is nested deeper than {MAX_NESTING} or holds more than {MAX_NODES} values",
                field="definition",
            )
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level, depth = inner, depth + 1
