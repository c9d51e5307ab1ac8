"""matching: what it costs to find who wants an event among 100,000 distinct live filters.

A quarter each: equality, patterns, ranges, expressions; each event matches five of them. `us_per_event`: CPU time of
`PredicateIndex.match`, the decoding of the event's payload included, with predicates already compiled; at most 50.
`growth`: cost with 100,000 equality filters over cost with 1,000, at most 2. The peer is the loop the index replaces:
every filter's own compiled predicate, one after the other.
"""

import asyncio
import gc
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from gateway.heap import settle_heap
from processors.live.index import PredicateIndex
from schema.event import Event, decode_body
from schema.filter.ast import Filter
from schema.filter.normal import normalise
from schema.filter.python import compile_normalised
from schema.filter.typed import parse_filter
from tests.benchmarks.harness import PAIRS, compare, finish

FILTERS = 100_000
FEW = 1_000
EVENTS = 5_000
LOOPED = 5
COMING = 2_000

Document = dict[str, Any]


def equality(number: int) -> Document:
    """One value of the envelope, or one of the payload."""
    if number % 2:
        return {"aggregateId": {"eq": f"order-{number}"}}
    return {"payload": [{"path": "customer.id", "eq": f"customer-{number}"}]}


def pattern(number: int) -> Document:
    """The wildcard at the end, at the beginning, or inside."""
    texts = (f"shop-{number}.order.*", f"shop-{number}.**", f"*.order.item-{number}", f"shop-{number}.**.shipped")
    return {"eventType": {"pattern": texts[number % 4]}}


def interval(number: int) -> Document:
    """Two of them overlap everywhere."""
    return {"payload": [{"path": "amount", "gte": number, "lt": number + 2}]}


def expression(number: int) -> Document:
    """A comparison beside others; every second one computes something, which only its own predicate can."""
    more = "size(event.payload.lines) + 1 > 2" if number % 2 else "event.payload.paid == true"
    window = f"event.payload.weight > {number} && event.payload.weight <= {number + 1}"
    return {"expression": f'{window} && event.event_type.startsWith("shop") && {more}'}


KINDS: tuple[Callable[[int], Document], ...] = (equality, pattern, interval, expression)


def filters(count: int, kinds: Sequence[Callable[[int], Document]], start: int = 0) -> list[Filter]:
    """So many distinct ones, of all kinds in turn."""
    return [parse_filter(kinds[number % len(kinds)](start + number // len(kinds))) for number in range(count)]


def bodies(count: int, places: int) -> list[bytes]:
    """Events as a log stores them, each wanted by five of `places` filters of every kind."""
    return [_body(random.randrange(2, places - 2) // 4 * 4, places) for _ in range(count)]


def _body(number: int, places: int) -> bytes:
    shop = number + random.choice((0, 1))
    payload = {
        "customer": {"id": f"customer-{number}", "name": "Ada Lovelace", "country": "GB"},
        "amount": random.randrange(1, places - 1) + 0.5,
        "weight": random.randrange(1, places - 1) + 0.5,
        "paid": True,
        "lines": [{"sku": "a-1", "count": 2}, {"sku": "b-7", "count": 1}],
        "note": "leave it at the door",
    }
    return orjson.dumps(
        {
            "event_id": "evt_01J9ZQ4Q5D3T2N6X8Y7W1V0KAB",
            "event_type": f"shop-{shop}.order.shipped",
            "event_version": "1.0",
            "source_capability": "checkout",
            "aggregate_id": f"cart-{number}",
            "aggregate_type": "order",
            "timestamp": "2026-11-23T12:00:00Z",
            "correlation_id": None,
            "causation_id": None,
            "tenant_id": "acme",
            "user_id": "user-7",
            "metadata": {"region": "eu"},
            "payload": payload,
            "schema_version": None,
        }
    )


class Side:
    """The index over some filters, and events for it."""

    def __init__(self, wanted: Sequence[Filter], stored: Sequence[bytes]) -> None:
        self.index: PredicateIndex[int] = PredicateIndex(_no_failure)
        for target, where in enumerate(wanted):
            self.index.add(where, None, target)
        self.stored = stored
        self.matches = 0.0

    async def rate(self) -> float:
        """Events a CPU-second."""
        events = [decode_body(body) for body in self.stored]
        began = time.process_time()
        count = 0
        for event in events:
            count += len(self.index.match(event))
        took = time.process_time() - began
        self.matches = count / len(events)
        return len(events) / took

    def change(self, wanted: Sequence[Filter]) -> tuple[float, float]:
        """Microseconds of an add and of a remove beside what is there."""
        targets = range(-len(wanted), 0)
        began = time.process_time()
        for target, where in zip(targets, wanted, strict=True):
            self.index.add(where, None, target)
        added = time.process_time()
        for target in targets:
            self.index.remove(target)
        removed = time.process_time()
        return (added - began) / len(wanted) * 1e6, (removed - added) / len(wanted) * 1e6


class Loop:
    """Every filter asked about every event."""

    def __init__(self, wanted: Sequence[Filter], stored: Sequence[bytes]) -> None:
        self.predicates = [compile_normalised(normalise(where)) for where in wanted]
        self.stored = stored

    def match(self, event: Event) -> list[int]:
        return [target for target, accepts in enumerate(self.predicates) if accepts(event)]

    async def rate(self) -> float:
        """Events a CPU-second."""
        events = [decode_body(body) for body in random.sample(self.stored, LOOPED)]
        began = time.process_time()
        for event in events:
            self.match(event)
        return len(events) / (time.process_time() - began)


def _no_failure(target: int, failure: Exception) -> None:
    raise AssertionError(target) from failure


def bytes_each(wanted: Sequence[Filter]) -> float:
    """What the index keeps of a filter, the given tree not counted."""
    gc.collect()
    tracemalloc.start()
    side = Side(wanted, ())
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(side.index) == len(wanted)
    return size / len(wanted)


def median(figures: Sequence[float]) -> dict[str, Any]:
    """With its smallest and largest."""
    return {
        "median": round(statistics.median(figures), 1),
        "spread": [round(min(figures), 1), round(max(figures), 1)],
    }


async def main() -> None:
    random.seed(7)
    wanted = filters(FILTERS, KINDS)
    size = bytes_each(wanted)
    print(f"{FILTERS:,} filters, {size:,.0f} bytes each", flush=True)
    stored = bodies(EVENTS, FILTERS // len(KINDS))
    mixed, loop = Side(wanted, stored), Loop(wanted, stored)
    settle_heap()
    for event in map(decode_body, stored[:LOOPED]):
        assert sorted(mixed.index.match(event)) == loop.match(event)
    result = await compare(mixed.rate, {"loop": loop.rate})
    print(f"{mixed.matches:.2f} matches an event", flush=True)

    coming = filters(COMING, KINDS, start=FILTERS)
    changes = [mixed.change(coming) for _ in range(PAIRS)]
    added, removed = (median(figures) for figures in zip(*changes, strict=True))
    kinds = {kind.__name__: round(1e6 / await Side(filters(FILTERS // 4, [kind]), stored).rate(), 1) for kind in KINDS}

    few = Side(filters(FEW, [equality]), bodies(EVENTS, FEW))
    many = Side(filters(FILTERS, [equality]), bodies(EVENTS, FILTERS))
    growth = await compare(few.rate, {"many": many.rate})

    costs = [1e6 / rate for rate in result.ours]
    finish(
        "matching",
        result.summary(),
        unit="events/CPU-s",
        filters=FILTERS,
        matches_per_event=round(mixed.matches, 2),
        us_per_event=round(statistics.median(costs), 1),
        us_per_event_spread=[round(min(costs), 1), round(max(costs), 1)],
        us_per_event_of_one_kind=kinds,
        growth=round(growth.ratio("many"), 2),
        growth_spread=growth.spread("many"),
        add_us=added,
        remove_us=removed,
        bytes_per_filter=round(size),
    )


if __name__ == "__main__":
    asyncio.run(main())
