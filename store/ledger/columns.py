"""Columns of a call as single texts that the server splits.

asyncpg looks at every element of a list several times, which for short values costs more than storing them does.
"""

from collections.abc import Sequence

_SEPARATOR, _NULL = "\x1e", "\x1f"

SPLIT = r"string_to_array(${}::text, E'\x1e', E'\x1f')"
"""How a statement takes what `texts` made; the placeholder is the parameter's number."""


class Unstorable(ValueError):
    """A text holds one of the two characters that hold the column together."""


def texts(column: Sequence[str | None]) -> str | None:
    """A column of texts; None when nothing is in it. Raises Unstorable."""
    missing = column.count(None)
    if missing == len(column):
        return None if column else ""
    present = [_NULL if text is None else text for text in column] if missing else column
    joined = _SEPARATOR.join(present)  # type: ignore[arg-type]
    if joined.count(_SEPARATOR) != len(column) - 1 or joined.count(_NULL) != missing or not joined:
        raise Unstorable
    return joined


def integers(column: Sequence[int | None]) -> str | None:
    """A column of whole numbers, as an array literal; None when nothing is in it."""
    missing = column.count(None)
    if missing == len(column):
        return None if column else "{}"
    items = ["NULL" if item is None else str(item) for item in column] if missing else map(str, column)
    return "{" + ",".join(items) + "}"
