"""Pages over ledger and index: followed to the end, every matching event comes once, in order, whatever the budget."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.pages import Order
from processors.query import EventQueries
from processors.readable import ReadableStreams
from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import Event, decode_body, encode_body
from schema.filter.ast import Filter
from schema.filter.python import compile_filter
from schema.filter.typed import parse_filter
from schema.stream import StreamEngine
from store.ledger.walk import Order as WalkOrder
from store.ledger.walk import Scan
from store.tenants import Tenant
from tests.events import draft, stream
from tests.world import ADMIN, CODEC, FixedStreams

LEDGER = stream(1, "user-events")
FIREHOSE = stream(2, "telemetry", engine=StreamEngine.KAFKA)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
WANTED = parse_filter({"payload": [{"path": "wanted", "eq": True}]})


class Table:
    """A ledger and an index in lists; each scan looks at a few rows only, as a used-up budget would have it."""

    def __init__(self, ledger: list[tuple[bool, int]], index: list[tuple[bool, int]], looks: list[int]) -> None:
        self.rows = {"ledger": [], "index": []}  # type: dict[str, list[Event]]
        self._looks, self._turn = looks, 0
        for name, rows in (("ledger", ledger), ("index", index)):
            at = EPOCH
            for wanted, later in rows:
                at += timedelta(milliseconds=later)
                self.add(name, wanted, at)

    def add(self, name: str, wanted: bool, at: datetime) -> None:
        event = decode_body(encode_body(draft(LEDGER, payload={"wanted": wanted}).envelope))
        place = len(self.rows[name]) + 1
        event.recorded_at = at
        event.stream = (LEDGER if name == "ledger" else FIREHOSE).stream_name
        if name == "ledger":
            event.position = place
        else:
            event.partition, event.offset = place % 4, place
        self.rows[name].append(event)

    async def end(self, tenant: Tenant) -> tuple[int, datetime]:
        return len(self.rows["ledger"]) + 1, EPOCH

    async def place_head(self, tenant: Tenant) -> int:
        return len(self.rows["index"]) + 1

    async def offsets_before(self, tenant: Tenant, stream: int, partitions: int, place: int) -> tuple[int, ...]:
        next_of = [0] * partitions
        for event in self.rows["index"][: place - 1]:
            next_of[event.partition or 0] = (event.offset or 0) + 1
        return tuple(next_of)

    async def scan(self, tenant: Tenant, **asked: Any) -> Scan:
        return self._scan("ledger", **asked)

    async def scan_indexed(self, tenant: Tenant, **asked: Any) -> Scan:
        return self._scan("index", **asked)

    def _scan(
        self,
        name: str,
        *,
        streams: Collection[int] | None,
        where: Filter | None,
        start: int,
        end: int,
        limit: int,
        order: WalkOrder,
    ) -> Scan:
        self._turn += 1
        look = self._looks[self._turn % len(self._looks)]
        matches = compile_filter(where) if where else (lambda event: True)
        places = list(range(start, min(end, len(self.rows[name]) + 1)))
        if order is WalkOrder.DESCENDING:
            places.reverse()
        found, reached = Scan([], 0, []), start if order is WalkOrder.ASCENDING else end
        for place in places[:look]:
            reached = place + (order is WalkOrder.ASCENDING)
            event = self.rows[name][place - 1]
            if matches(event):
                found.events.append(event)
                found.places.append(place)
                if len(found.events) == limit:
                    break
        return Scan(found.events, reached, found.places)


class One:
    async def get(self, name: str) -> Tenant:
        return Tenant(1, name, 1)


rows = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=25)


@settings(deadline=None, max_examples=300)
@given(
    rows,
    rows,
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.integers(1, 7),
    st.sampled_from(Order),
    st.booleans(),
)
def test_every_event_comes_once(
    ledger: list[tuple[bool, int]],
    index: list[tuple[bool, int]],
    looks: list[int],
    first: int,
    order: Order,
    both: bool,
) -> None:
    table = Table(ledger, index, looks)
    queries = EventQueries(
        cast(Any, table),
        ReadableStreams(FixedStreams(LEDGER, FIREHOSE)),
        cast(Any, One()),
        cast(Any, None),
        CODEC,
        walk_seconds=-1,  # every walk stops after one scan
    )
    names = ["user-events", "telemetry"] if both else None

    async def everything() -> tuple[list[Event], set[Cursor]]:
        seen: list[Event] = []
        heads: set[Cursor] = set()
        after: str | None = None
        for _ in range(200):
            try:
                page = await queries.page(ADMIN, streams=names, where=WANTED, first=first, after=after, order=order)
            except EsbError as error:
                if error.code is not ErrorCode.TOO_COMPLEX:
                    raise
                after = (error.details or {})["cursor"]
                continue
            assert len(page.events) <= first
            seen += page.events
            heads.add(page.as_of)
            # what is committed meanwhile belongs to whoever goes on from as_of
            table.add("ledger", True, EPOCH + timedelta(days=1))
            table.add("index", True, EPOCH + timedelta(days=1))
            if not page.has_next:
                return seen, heads
            after = page.end_cursor
            if len(page.events) > 1 and len(seen) % 2:  # go on from the middle of a page as well
                del seen[-len(page.events) + 1 :]
                after = page.cursors[0]
        raise AssertionError("no end")

    expected = [
        event
        for name in ("ledger", *(["index"] if both else []))
        for event in table.rows[name]
        if event.payload_document["wanted"]
    ]
    ends = len(table.rows["ledger"]) + 1
    seen, heads = asyncio.run(everything())
    assert sorted(map(id, seen)) == sorted(map(id, expected))
    assert {head.position for head in heads} <= {ends}
    assert len(heads) <= 1
    for engine in ("user-events", "telemetry"):
        of_one = [event.position or event.offset or 0 for event in seen if event.stream == engine]
        assert of_one == sorted(of_one, reverse=order is Order.DESC)
