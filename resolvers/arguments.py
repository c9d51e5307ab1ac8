"""Arguments of fields as the use cases take them: what was left out, and what was null, is None."""

from typing import TypeVar

from strawberry import UNSET

from processors.pages import Order as PageOrder
from schema.errors import bad_input
from schema.filter.ast import Filter
from schema.filter.typed import parse_filter
from schema.graphql.enums import Order
from schema.graphql.filters import EventFilter, filter_document

_T = TypeVar("_T")


def given(value: _T | None) -> _T | None:
    """The value, or None where it was left out."""
    return None if value is UNSET else value


def where_of(said: EventFilter | None) -> Filter | None:
    """The filter; None: everything."""
    return parse_filter(filter_document(said)) if said is not None and said is not UNSET else None


def order_of(said: Order | None) -> PageOrder:
    """The direction, as committed where nothing is said."""
    return PageOrder.DESC if said is Order.DESC else PageOrder.ASC


def count_of(said: int | None, default: int) -> int:
    """How many; raises BAD_INPUT below one."""
    count = default if said is None else said
    if count < 1:
        raise bad_input("first must be at least 1", field="first")
    return count
