"""Filters on the values of rows as PostgreSQL conditions, and what declared indexes can do for them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from schema.filter.ast import And, Filter, Op, Test
from schema.filter.normal import normalise
from schema.filter.python import compile_filter
from schema.filter.sql import compile_sql
from schema.projections.ordering import AFTER_TEXTS, MAX_TEXT_CHARS, NUMBERS, TEXTS, order_text
from store.projections.tables import index_column

_decode = msgspec.json.Decoder().decode


class Conditions(NamedTuple):
    """`text`: a condition on the alias `e` that has a `body`. `narrowed`: an index serves it. `rest`: what has to be
    asked of the values found, None: nothing."""

    text: str
    narrowed: bool
    rest: "Rest | None"


class Rest:
    """What SQL could not decide."""

    def __init__(self, where: Filter) -> None:
        self._keeps = compile_filter(where)

    def keeps(self, value: Any) -> bool:
        """Whether a row's value matches."""
        return self._keeps(_AsEvent(value))  # type: ignore[arg-type]  # a filter on payloads looks at nothing else

    def keeps_text(self, text: str) -> bool:
        """The same of a value as JSON."""
        return self.keeps(_decode(text))


class _AsEvent:
    """A row's value where a filter looks for an event's payload: filters on rows and on payloads are one language."""

    __slots__ = ("payload_document",)

    def __init__(self, value: Any) -> None:
        self.payload_document = value


def matcher(where: Filter | None) -> "Rest | None":
    """The whole filter, for values in hand."""
    return None if where is None else Rest(where)


def conditions(where: Filter | None, indexes: Sequence[str], values: list[Any]) -> Conditions:
    """The conditions of a filter on rows; constants are appended to `values`. `indexes`: paths that have a column."""
    if where is None:
        return Conditions("true", False, None)
    bounds = _bounds(normalise(where), indexes, values)
    compiled = compile_sql(where, values)
    return Conditions(" and ".join([*bounds, compiled.text]), bool(bounds), None if compiled.exact else Rest(where))


def _bounds(where: Filter, indexes: Sequence[str], values: list[Any]) -> list[str]:
    """Ranges of indexed columns in which every match lies."""
    found = []
    for item in where.items if isinstance(where, And) else (where,):
        if not isinstance(item, Test):
            continue
        path = ".".join(item.keys)
        span = _span(item.op, item.value) if path in indexes else None
        if span is not None:
            column = f"e.{index_column(list(indexes).index(path))}"
            low, high = span
            values.extend([low, high])
            found.append(f"{column} >= ${len(values) - 1}::text and {column} <= ${len(values)}::text")
    return found


def _span(op: Op, value: Any) -> tuple[str, str] | None:
    """The least and the greatest text of `order_text` that can match, both included; None: an index says nothing.

    Wider than the comparison where texts were cut or numbers rounded: the comparison itself is made, too."""
    if op is Op.EXISTS:
        return "1", "7"
    if op is Op.STARTS_WITH and isinstance(value, str):
        start = TEXTS + value[:MAX_TEXT_CHARS]
        return start, start + "\U0010ffff" * MAX_TEXT_CHARS
    if isinstance(value, bool) or value is None:
        return (order_text(value), order_text(value)) if op is Op.EQ else None
    if not isinstance(value, int | float | str):
        return None
    kind, beyond = (NUMBERS, TEXTS) if not isinstance(value, str) else (TEXTS, AFTER_TEXTS)
    at = order_text(value)
    match op:
        case Op.EQ:
            return at, at
        case Op.GT | Op.GTE:
            return at, beyond
        case Op.LT | Op.LTE:
            return kind, at
    return None
