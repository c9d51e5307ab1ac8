from collections.abc import Sequence

from processors.live.acceptance import LogQuery
from processors.live.items import Delivered
from processors.live.ring import LOOKED_THROUGH, Ring
from processors.live.track import KafkaTrack, LedgerTrack, Track
from processors.live.weight import weight
from schema.cursor import Cursor
from schema.event import Event
from tests.unit.processors.live.world import event

EACH = weight(event(1))


def ledger_ring(events: int) -> Ring:
    return Ring(LedgerTrack(), Cursor(1, 5), events * EACH)


def placed(events: Sequence[Event], start: Cursor, track: Track | None = None) -> list[Delivered]:
    items: list[Delivered] = []
    for one in events:
        start = (track or LedgerTrack()).after(start, one)
        items.append(Delivered(one, start))
    return items


def numbers(first: int, last: int) -> list[Delivered]:
    return placed([event(n) for n in range(first, last + 1)], Cursor(1, first))


def all_positions(ring: Ring, query: LogQuery, index: int, limit: int = 1000) -> list[int | None]:
    seen: list[int | None] = []
    while index < ring.next_index:
        found, index = ring.find(query, index, limit)
        assert len(found) <= limit
        seen += [item.event.position for item in found]
    return seen


ANY = LogQuery(None)


def record(partition: int, offset: int) -> Event:
    made = event(1)
    made.partition, made.offset, made.position = partition, offset, None
    return made


def test_keeps_the_newest_within_its_budget() -> None:
    ring = ledger_ring(3)
    ring.append(numbers(5, 9), Cursor(1, 10))
    assert all_positions(ring, ANY, ring.first_index) == [7, 8, 9]
    assert ring.bytes == 3 * EACH
    assert ring.oldest.position == 7
    assert ring.place.position == 10


def test_says_where_a_place_is_or_that_it_is_too_old() -> None:
    ring = ledger_ring(3)
    ring.append(numbers(5, 9), Cursor(1, 10))
    assert ring.index_of(Cursor(1, 6)) is None
    for place in (7, 8, 9):
        index = ring.index_of(Cursor(1, place))
        assert index is not None
        assert all_positions(ring, ANY, index)[0] == place
    assert ring.index_of(Cursor(1, 10)) == ring.next_index
    assert ring.index_of(Cursor(1, 99)) == ring.next_index


def test_one_event_larger_than_the_budget_leaves_it_empty_and_in_place() -> None:
    ring = ledger_ring(3)
    ring.append(placed([event(5, body_bytes=10 * EACH)], Cursor(1, 5)), Cursor(1, 6))
    assert (ring.bytes, ring.oldest.position, ring.place.position) == (0, 6, 6)
    assert ring.index_of(Cursor(1, 5)) is None
    assert ring.index_of(Cursor(1, 6)) == ring.next_index


def test_offsets_with_holes_are_covered_from_the_first_event_kept() -> None:
    track = KafkaTrack(9, 2)
    start = Cursor(0, 0, kafka=((9, (10, 20)),))
    ring = Ring(track, start, 2 * EACH)
    ring.append(
        placed([record(0, 11), record(1, 25), record(0, 15)], start, track), Cursor(0, 0, kafka=((9, (17, 26)),))
    )
    assert ring.oldest.kafka == ((9, (12, 20)),)
    assert ring.index_of(Cursor(0, 0, kafka=((9, (11, 20)),))) is None
    assert ring.index_of(Cursor(0, 0, kafka=((9, (12, 26)),))) == ring.first_index
    assert ring.index_of(Cursor(0, 0)) is None, "an unknown offset is never covered"


def test_what_lies_before_it_is_added_as_far_as_it_fits() -> None:
    ring = ledger_ring(4)
    ring.append(numbers(5, 6), Cursor(1, 7))
    index = ring.index_of(Cursor(1, 6))
    ring.prepend(numbers(1, 4), Cursor(1, 1))
    assert all_positions(ring, ANY, ring.first_index) == [3, 4, 5, 6]
    assert (ring.oldest.position, ring.place.position, ring.bytes) == (3, 7, 4 * EACH)
    assert ring.index_of(Cursor(1, 6)) == index, "who is reading goes on where it was"
    assert ring.index_of(Cursor(1, 2)) is None
    ring.append(numbers(7, 8), Cursor(1, 9))
    assert all_positions(ring, ANY, ring.first_index) == [5, 6, 7, 8]
    whole = ledger_ring(9)
    whole.append(numbers(5, 5), Cursor(1, 6))
    whole.prepend(numbers(3, 4), Cursor(1, 3))
    assert whole.oldest.position == 3
    assert whole.index_of(Cursor(1, 3)) == whole.first_index


def test_what_matches_is_worked_out_once_for_all_who_ask_the_same() -> None:
    asked: list[int] = []

    class Odd(LogQuery):
        def accepts(self, event: Event) -> bool:
            asked.append(event.position or 0)
            return (event.position or 0) % 2 == 1

    ring = Ring(LedgerTrack(), Cursor(1, 1), 5000 * EACH)
    ring.append(numbers(1, 3000), Cursor(1, 3001))
    odd = Odd(None)
    assert all_positions(ring, odd, ring.first_index, limit=7) == list(range(1, 3001, 2))
    assert len(asked) == 3000
    assert all_positions(ring, odd, ring.first_index + 1500) == list(range(1501, 3001, 2))
    assert len(asked) == 3000
    ring.append(numbers(3001, 4000), Cursor(1, 4001))
    assert all_positions(ring, odd, ring.first_index) == list(range(1, 4001, 2))
    assert len(asked) == 4000
    ring.append(numbers(4001, 7000), Cursor(1, 7001))  # the oldest 2,000 make room, some not looked at are among them
    assert all_positions(ring, odd, ring.first_index) == list(range(2001, 7001, 2))


def test_one_call_looks_through_a_bounded_part_only() -> None:
    ring = Ring(LedgerTrack(), Cursor(1, 1), 5000 * EACH)
    ring.append(numbers(1, 4000), Cursor(1, 4001))
    found, reached = ring.find(LogQuery(None, names=frozenset({"none"})), ring.first_index, 10)
    assert (list(found), reached) == ([], ring.first_index + LOOKED_THROUGH)
    assert ring.place_at(reached).position == LOOKED_THROUGH + 1
