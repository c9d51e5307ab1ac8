"""A parsed filter as a document that `parse_filter` reads back with the same meaning: for storing and showing."""

from datetime import datetime
from typing import Any

from schema.filter.ast import FIELDS, And, FieldKind, Filter, Holds, Not, Op, Or, Test
from schema.filter.times import format_time
from schema.filter.typed import camel


def to_document(filter: Filter) -> dict[str, Any]:
    """The document, camelCase, of a filter as `parse_filter` made it (not of a normalised one)."""
    match filter:
        case And(()):
            return {}
        case And(items):
            return {"and": [to_document(item) for item in items]}
        case Or(items):
            return {"or": [to_document(item) for item in items]}
        case Not(Test(_, Op.EXISTS) as test):
            return _leaf(test, False)
        case Not(item):
            return {"not": to_document(item)}
        case Holds(_, text):
            return {"expression": text}
        case Test():
            return _leaf(filter, True if filter.op is Op.EXISTS else _shown(filter.value))


def _leaf(test: Test, value: Any) -> dict[str, Any]:
    match = {camel(test.op.value): value}
    if FIELDS[test.field] is FieldKind.JSON:
        return {test.field: [{"path": ".".join(test.keys), **match}]}
    return {camel(test.field): match}


def _shown(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value
