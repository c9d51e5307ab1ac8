"""What a query string asks of a list: how many, which, in which order."""

from typing import Any

import msgspec
from starlette.datastructures import QueryParams

from gateway.rest.body import decoded
from processors.pages import Order
from schema.errors import bad_input
from schema.event import MAX_PAGE
from schema.filter.ast import Filter
from schema.filter.typed import parse_filter

DEFAULT_PAGE = 50

_filter_decoder = msgspec.json.Decoder(dict[str, Any])


def limit_of(asked: QueryParams) -> int:
    """`limit`: how many items a page holds; raises BAD_INPUT outside of 1 to 1000."""
    text = asked.get("limit")
    if text is None:
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE):
        raise bad_input(f"limit must be 1 to {MAX_PAGE}", field="limit")
    return int(text)


def order_of(asked: QueryParams) -> Order:
    """`order`: asc, as committed, or desc; raises BAD_INPUT."""
    try:
        return Order[asked.get("order", "asc").upper()]
    except KeyError:
        raise bad_input("order must be asc or desc", field="order") from None


def where_of(asked: QueryParams) -> Filter | None:
    """`where`: an EventFilter as JSON; raises BAD_INPUT."""
    text = asked.get("where")
    if not text:
        return None
    document: dict[str, Any] = decoded(_filter_decoder, text.encode(), "where")
    return parse_filter(document)
