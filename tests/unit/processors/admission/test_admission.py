"""Admission over the memory engine: who may, where it goes, what comes back."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import pytest

from processors.admission.admission import Admission
from processors.admission.canonical import ContentHash
from processors.admission.ports import AppendConditionInput, PublishReport
from schema.cursor import Cursor, CursorCodec
from schema.errors import ErrorCode, EsbError
from schema.event import MAX_BATCH_BYTES
from schema.filter.typed import parse_filter
from schema.identifier import EVENT_ID, IdentifierSource
from schema.input import ClientContext, EventInput
from schema.principal import Action, Grant, Principal
from schema.stream import Route, Stream, StreamEngine
from store.log.memory import MemoryLog
from store.log.port import Command, Log, Outcome, Promises, Receipt

CODEC = CursorCodec(b"c" * 32)
GIVEN = "evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3"
ADMIN = Principal(tenant="t", subject="ada", client="crm", grants=tuple(Grant(action) for action in Action))


class View(NamedTuple):
    streams: Sequence[Stream]
    routes: Sequence[Route]


class Firehose:
    """An engine that keeps what it is given and promises little."""

    promises = Promises(gapless=False, idempotent=False, atomic=False)

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.down = False

    async def append(self, commands: Sequence[Command]) -> list[Outcome]:
        if self.down:
            raise EsbError(ErrorCode.LOG_UNAVAILABLE, "the broker is away")
        outcomes: list[Outcome] = []
        for command in commands:
            (draft,) = command.events
            self.taken.append(draft.envelope.event_id)
            place = (draft.envelope.event_id, draft.stream.stream_name, None, 0, len(self.taken) - 1, None)
            outcomes.append([Receipt(*place, Cursor(1, 1), datetime.now(UTC))])
        return outcomes


class World:
    """One tenant with two ledger streams and a firehose; `later` appears only to who refreshes."""

    def __init__(self) -> None:
        kinds = [("users", "user.**"), ("orders", "order.*"), ("later", "later.*"), ("fire", "fire.*")]
        made = [
            Stream(
                key=key,
                tenant="t",
                stream_id=f"str_{key}",
                stream_name=name,
                topic_name=name,
                engine=StreamEngine.KAFKA if name == "fire" else StreamEngine.LEDGER,
                event_patterns=(pattern,),
            )
            for key, (name, pattern) in enumerate(kinds, 1)
        ]
        self.stored = View(made, [])
        self.seen = View([made[0], made[1], made[3]], [])
        self.ledger = MemoryLog({1, 2, 3})
        self.firehose = Firehose()
        self.pins: dict[str, int] = {}
        self.published_: Counter[StreamEngine] = Counter()
        self.rejected_: Counter[ErrorCode] = Counter()
        self.admission = Admission(
            views=self,
            pins=self,
            logs=self,
            codec=CODEC,
            hashes=ContentHash(b"h" * 32),
            recorder=self,
            identifiers=IdentifierSource(),
        )

    async def view(self, tenant: str) -> View:
        return self.seen

    async def refresh(self, tenant: str) -> View:
        self.seen = self.stored
        return self.seen

    async def pin_aggregate_type(self, tenant: str, aggregate_type: str, stream_key: int) -> int:
        return self.pins.setdefault(aggregate_type, stream_key)

    async def of(self, stream: Stream) -> Log:
        return self.ledger if stream.engine is StreamEngine.LEDGER else self.firehose  # type: ignore[return-value]

    async def epoch(self, tenant: str) -> int:
        return 1

    def published(self, engine: StreamEngine, events: int, seconds: float) -> None:
        self.published_[engine] += events

    def rejected(self, code: ErrorCode, events: int) -> None:
        self.rejected_[code] += events

    async def one(self, who: Principal = ADMIN, **more) -> Receipt:
        return await self.admission.publish_one(who, said(**more), client=ClientContext())

    async def many(self, *inputs: EventInput, **more) -> PublishReport:
        return await self.admission.publish(ADMIN, inputs, client=ClientContext(), **more)

    async def stored_events(self) -> list[str]:
        return [event.event_id for event in (await self.ledger.read(Cursor(1, 1), 100)).events]


def said(event_type: str = "user.made", payload: str = "{}", **more) -> EventInput:
    return EventInput(event_type=event_type, payload=msgspec.Raw(payload.encode()), **more)


@pytest.fixture
def world() -> World:
    return World()


async def code_of(publishing) -> ErrorCode:
    with pytest.raises(EsbError) as refused:
        await publishing
    return refused.value.code


async def test_one_event_is_committed_with_a_receipt(world):
    receipt = await world.one(aggregate_type="User", aggregate_id="u1")
    assert (receipt.position, receipt.sequence_number, receipt.stream) == (1, 1, "users")
    assert EVENT_ID.match(receipt.event_id)
    (event,) = (await world.ledger.read(Cursor(1, 1), 9)).events
    assert (event.user_id, event.source_capability, event.tenant_id) == ("ada", "crm", "t")
    assert world.published_ == {StreamEngine.LEDGER: 1}


async def test_a_retry_gets_the_first_receipt_and_other_content_conflicts(world):
    first = await world.one(event_id=GIVEN, payload='{"a":1,"b":[1.0]}')
    again = await world.one(event_id=GIVEN, payload=' { "b": [1], "a": 1 } ')
    assert again.duplicate
    assert again.position == first.position
    assert await code_of(world.one(event_id=GIVEN, payload='{"a":2}')) is ErrorCode.DUPLICATE_CONFLICT
    assert world.rejected_ == {ErrorCode.DUPLICATE_CONFLICT: 1}


@pytest.mark.parametrize(
    ("grant", "more", "code"),
    [
        (Grant(Action.READ), {}, ErrorCode.FORBIDDEN),
        (Grant(Action.PUBLISH, "orders"), {}, ErrorCode.FORBIDDEN),
        (Grant(Action.PUBLISH, "orders"), {"stream": "no-such-stream"}, ErrorCode.FORBIDDEN),
        (Grant(Action.PUBLISH), {"stream": "no-such-stream"}, ErrorCode.UNKNOWN_STREAM),
        (Grant(Action.PUBLISH), {"user_id": "eve"}, ErrorCode.FORBIDDEN),
    ],
)
async def test_the_token_decides_before_anything_is_told(world, grant, more, code):
    assert await code_of(world.one(Principal(tenant="t", grants=(grant,)), **more)) is code
    assert await world.stored_events() == []


async def test_a_stream_made_elsewhere_is_found_by_asking_the_store(world):
    assert (await world.one(event_type="later.on")).stream == "later"


async def test_an_aggregate_type_stays_in_its_stream(world):
    await world.one(aggregate_type="User", aggregate_id="u1")
    moved = world.one(event_type="order.made", aggregate_type="User", aggregate_id="u2")
    assert await code_of(moved) is ErrorCode.BAD_INPUT


async def test_an_atomic_batch_with_one_bad_event_commits_nothing(world):
    report = await world.many(said(), said("not a type"), said())
    assert report.receipts == []
    assert [(refused.index, refused.code) for refused in report.rejections] == [(1, ErrorCode.BAD_INPUT)]
    assert await world.stored_events() == []


async def test_an_atomic_batch_is_refused_whole_by_the_log(world):
    late = said(aggregate_type="User", aggregate_id="u1", expected_sequence=7)
    report = await world.many(said(aggregate_type="User", aggregate_id="u1"), late)
    assert report.receipts == []
    assert [(refused.index, refused.code) for refused in report.rejections] == [(1, ErrorCode.SEQUENCE_CONFLICT)]
    assert world.published_ == {}


async def test_a_batch_that_is_not_atomic_reports_in_input_order(world):
    late = said(aggregate_type="User", aggregate_id="u1", expected_sequence=7)
    report = await world.many(said(), said("fire.now"), said("not a type"), late, said(), atomic=False)
    assert [index for index, _ in report.receipts] == [0, 1, 4]
    assert [(r.index, r.code) for r in report.rejections] == [
        (2, ErrorCode.BAD_INPUT),
        (3, ErrorCode.SEQUENCE_CONFLICT),
    ]
    assert world.published_ == {StreamEngine.LEDGER: 2, StreamEngine.KAFKA: 1}
    assert world.rejected_.total() == 2


async def test_an_engine_that_is_down_refuses_its_own_events_only(world):
    world.firehose.down = True
    report = await world.many(said(), said("fire.now"), atomic=False)
    assert [index for index, _ in report.receipts] == [0]
    assert [(r.index, r.code) for r in report.rejections] == [(1, ErrorCode.LOG_UNAVAILABLE)]


async def test_atomic_batches_do_not_span_engines(world):
    report = await world.many(said(), said("fire.now"))
    assert [r.code for r in report.rejections] == [ErrorCode.UNSUPPORTED_BY_ENGINE]
    assert report.receipts == []
    assert world.firehose.taken == []


async def test_a_condition_holds_the_boundary(world):
    condition = AppendConditionInput(parse_filter({"eventType": {"eq": "user.made"}}), None)
    first = await world.many(said(), condition=condition)
    second = await world.many(said(), condition=condition)
    assert [refused.code for refused in second.rejections] == [ErrorCode.CONDITION_FAILED]
    after = CODEC.encode("t", first.receipts[0][1].cursor)
    third = await world.many(said(), condition=AppendConditionInput(condition.none_matching, after))
    assert len(third.receipts) == 1


async def test_a_condition_refuses_foreign_cursors_old_epochs_and_batches_that_are_not_atomic(world):
    where = parse_filter({"eventType": {"eq": "user.made"}})
    foreign = AppendConditionInput(where, CODEC.encode("other", Cursor(1, 1)))
    assert await code_of(world.many(said(), condition=foreign)) is ErrorCode.CURSOR_INVALID
    old = AppendConditionInput(where, CODEC.encode("t", Cursor(0, 1)))
    assert await code_of(world.many(said(), condition=old)) is ErrorCode.CURSOR_INVALID
    loose = world.many(said(), condition=AppendConditionInput(where, None), atomic=False)
    assert await code_of(loose) is ErrorCode.BAD_INPUT


async def test_empty_and_too_large_batches_are_refused_as_such(world):
    assert await code_of(world.many()) is ErrorCode.BAD_INPUT
    big = '"' + "x" * 500_000 + '"'
    many = [said(payload=big) for _ in range(MAX_BATCH_BYTES // 500_000 + 1)]
    assert await code_of(world.many(*many)) is ErrorCode.PAYLOAD_TOO_LARGE
    assert await world.stored_events() == []


async def test_explaining_commits_nothing_and_says_why(world):
    decision = await world.admission.explain(ADMIN, said("order.made"))
    assert decision.stream.stream_name == "orders"
    assert re.search(r"order\.\*", decision.why)
    assert await world.stored_events() == []
