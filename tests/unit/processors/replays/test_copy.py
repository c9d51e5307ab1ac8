"""Copies of past events: marked, otherwise as they were, under ids that never differ."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from processors.replays.copy import Copies
from schema.event import Event
from schema.identifier import EVENT_ID, IdentifierSource
from schema.replay import Replay, ReplayPlace, ReplayPlan, ReplaySource, ReplayStatus
from schema.stream import StreamEngine

AT = datetime(2026, 1, 1, tzinfo=UTC)
IDS = IdentifierSource()


def replay(replay_id: str | None = None) -> Replay:
    plan = ReplayPlan(
        sources=(ReplaySource(1, "orders", StreamEngine.LEDGER), ReplaySource(2, "clicks", StreamEngine.KAFKA, 3)),
        where=None,
        epoch=1,
        ledger=1,
        ledger_end=10,
        indexed=1,
        indexed_end=1,
        stream="copy",
    )
    return Replay(
        replay_id=replay_id or IDS.replay_id(),
        tenant="acme",
        status=ReplayStatus.RUNNING,
        plan=plan,
        place=ReplayPlace(1, 1),
        done=0,
        total=None,
        error=None,
        started_at=AT,
        finished_at=None,
    )


def event(metadata: bytes = b"{}", **fields: Any) -> Event:
    known: dict[str, Any] = dict(
        event_id=IDS.event_id(),
        event_type="order.placed",
        event_version="2.0",
        source_capability="shop",
        aggregate_id="o1",
        aggregate_type="Order",
        timestamp=AT,
        correlation_id="c1",
        causation_id="evt_x",
        tenant_id="acme",
        user_id="ann",
        metadata=msgspec.Raw(metadata),
        payload=msgspec.Raw(b'{"total": 1.50}'),
        schema_version="1.1",
        stream="orders",
        position=7,
    )
    return Event(**(known | fields))


def test_a_copy_says_what_the_event_said_and_what_it_is_a_copy_of() -> None:
    made, of = replay(), event()
    copy = Copies(made).of(of)
    for field in ("event_type", "event_version", "source_capability", "aggregate_id", "timestamp", "correlation_id"):
        assert getattr(copy, field) == getattr(of, field)
    assert (copy.causation_id, copy.user_id, copy.schema_version) == ("evt_x", "ann", "1.1")
    assert bytes(copy.payload) == b'{"total": 1.50}'
    assert (copy.stream, copy.aggregate_type, copy.expected_sequence) == ("copy", "copy/Order", None)
    assert msgspec.json.decode(copy.metadata or b"") == {
        "replay": {"id": made.replay_id, "of": of.event_id, "stream": "orders", "aggregate_type": "Order"}
    }


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        (b'{"a":1.0,"b":{"c":[1]}}', {"a": 1.0, "b": {"c": [1]}}),
        (b' { "a" : 12345678901234567890123 } ', {"a": 12345678901234567890123}),
        (b'{"replay":{"id":"rpl_older","of":"evt_older"},"a":null}', {"a": None}),
        (b'"said by a foreign producer"', {}),
    ],
)
def test_metadata_is_kept_beside_the_mark(metadata: bytes, kept: dict[str, Any]) -> None:
    copy = Copies(replay()).of(event(metadata, aggregate_id=None, aggregate_type=None))
    document = msgspec.json.decode(copy.metadata or b"")
    assert document.pop("replay").keys() == {"id", "of", "stream"}
    assert document == kept


def test_ids_are_the_same_each_time_ascend_and_belong_to_one_replay() -> None:
    one, again, other = Copies(made := replay()), Copies(made), Copies(replay())
    events = [event(position=position) for position in (1, 2, 255, 256, 10**9)]
    ids = [one.event_id(each) for each in events]
    assert ids == [again.event_id(each) for each in events] == sorted(set(ids))
    assert all(EVENT_ID.match(each) for each in ids)
    assert not set(ids) & {other.event_id(each) for each in events}


def test_records_of_kafka_are_told_apart_by_their_place_not_by_their_id() -> None:
    copies = Copies(replay())
    places = [
        event(event_id="evt_same", position=None, partition=partition, offset=offset, stream="clicks")
        for partition in (0, 1)
        for offset in (0, 1)
    ]
    ids = {copies.event_id(each) for each in places}
    assert len(ids) == 4
    assert all(EVENT_ID.match(each) for each in ids)


def test_a_copy_is_known_again() -> None:
    made, of = replay(), event()
    copies = Copies(made)
    found = event(metadata=bytes(copies.of(of).metadata or b""))
    assert copies.is_copy(found, of)
    assert not copies.is_copy(found, event())
    assert not Copies(replay()).is_copy(found, of)
    assert not copies.is_copy(event(b'{"replay":1}'), of)
