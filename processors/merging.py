"""Two sources of a page walked and merged: the ledger by position, the Kafka engine's index by place."""

import time
from collections.abc import Awaitable, Callable

from processors.pages import Bounds, Order
from schema.event import Event
from store.ledger.walk import Scan


async def walk(
    scan: Callable[..., Awaitable[Scan]], order: Order, bound: int, end: int, limit: int, deadline: float
) -> Scan:
    """Scan on until there are `limit` events, the end, or no time left; at least once."""
    events: list[Event] = []
    places: list[int] = []
    while True:
        low, high = (bound, end) if order is Order.ASC else (1, bound)
        found = await scan(start=low, end=high, limit=limit - len(events))
        events += found.events
        places += found.places
        bound = found.reached
        done = bound >= end if order is Order.ASC else bound <= 1
        if done or len(events) >= limit or time.monotonic() > deadline:
            return Scan(events, bound, places)


def merge(bounds: Bounds, ledger: Scan, index: Scan, first: int) -> tuple[list[Event], list[Bounds]]:
    """The first events of both, by recorded_at, each with what is left after it."""
    step = 1 if bounds.order is Order.ASC else 0
    chosen: list[Event] = []
    marks: list[Bounds] = []
    mark, at, of = bounds, 0, 0
    while len(chosen) < first and (at < len(ledger.events) or of < len(index.events)):
        if of == len(index.events) or (
            at < len(ledger.events) and _goes_first(bounds.order, ledger.events[at], index.events[of])
        ):
            mark = mark._replace(ledger=ledger.places[at] + step)
            chosen.append(ledger.events[at])
            at += 1
        else:
            mark = mark._replace(indexed=index.places[of] + step)
            chosen.append(index.events[of])
            of += 1
        marks.append(mark)
    return chosen, marks


def _goes_first(order: Order, one: Event, other: Event) -> bool:
    if order is Order.ASC:
        return one.recorded_at <= other.recorded_at
    return one.recorded_at > other.recorded_at


def is_done(left: Bounds) -> bool:
    """Whether a pinned read has come to its end in both."""
    if left.order is Order.ASC:
        return left.ledger >= left.ledger_end and left.indexed >= left.indexed_end
    return left.ledger <= 1 and left.indexed <= 1
