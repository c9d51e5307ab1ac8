from processors.live.ring import Ring, weight
from processors.live.track import KafkaTrack, LedgerTrack
from schema.cursor import Cursor
from schema.event import Event
from tests.unit.processors.live.world import event

EACH = weight(event(1))


def ledger_ring(events: int) -> Ring:
    return Ring(LedgerTrack(), Cursor(1, 5), events * EACH)


def record(partition: int, offset: int) -> Event:
    made = event(1)
    made.partition, made.offset, made.position = partition, offset, None
    return made


def test_keeps_the_newest_within_its_budget() -> None:
    ring = ledger_ring(3)
    ring.append([event(n) for n in range(5, 10)], Cursor(1, 10))
    assert [e.position for e in ring.read(ring.first_index, 100)] == [7, 8, 9]
    assert ring.bytes == 3 * EACH
    assert ring.oldest.position == 7
    assert ring.place.position == 10


def test_says_where_a_place_is_or_that_it_is_too_old() -> None:
    ring = ledger_ring(3)
    ring.append([event(n) for n in range(5, 10)], Cursor(1, 10))
    assert ring.index_of(Cursor(1, 6)) is None
    for place in (7, 8, 9):
        index = ring.index_of(Cursor(1, place))
        assert index is not None
        assert ring.read(index, 1)[0].position == place
    assert ring.index_of(Cursor(1, 10)) == ring.next_index
    assert ring.index_of(Cursor(1, 99)) == ring.next_index


def test_one_event_larger_than_the_budget_leaves_it_empty_and_in_place() -> None:
    ring = ledger_ring(3)
    ring.append([event(5, body_bytes=10 * EACH)], Cursor(1, 6))
    assert (ring.bytes, ring.oldest.position, ring.place.position) == (0, 6, 6)
    assert ring.index_of(Cursor(1, 5)) is None
    assert ring.index_of(Cursor(1, 6)) == ring.next_index


def test_offsets_with_holes_are_covered_from_the_first_event_kept() -> None:
    track = KafkaTrack(9, 2)
    ring = Ring(track, Cursor(0, 0, kafka=((9, (10, 20)),)), 2 * EACH)
    ring.append([record(0, 11), record(1, 25), record(0, 15)], Cursor(0, 0, kafka=((9, (17, 26)),)))
    assert ring.oldest.kafka == ((9, (12, 20)),)
    assert ring.index_of(Cursor(0, 0, kafka=((9, (11, 20)),))) is None
    assert ring.index_of(Cursor(0, 0, kafka=((9, (12, 26)),))) == ring.first_index
    assert ring.index_of(Cursor(0, 0)) is None, "an unknown offset is never covered"
