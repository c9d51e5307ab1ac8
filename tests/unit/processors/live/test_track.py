from processors.live.track import KafkaTrack, LedgerTrack, RedisTrack, together
from schema.cursor import Cursor
from schema.event import Event
from tests.unit.processors.live.world import event


def record(partition: int, offset: int, second: int = 1) -> Event:
    made = event(second)
    made.partition, made.offset, made.position = partition, offset, None
    return made


def entry(entry_id: str) -> Event:
    made = event(1)
    made.entry_id, made.position = entry_id, None
    return made


def offsets(*values: int, at_ms: int = 0) -> Cursor:
    return Cursor(0, 0, at_ms, kafka=((9, values),))


def test_an_unknown_partition_keeps_the_time_it_starts_at() -> None:
    track = KafkaTrack(9, 3)
    place = track.after(Cursor(0, 0, at_ms=500), record(1, 7, second=60))
    assert place == offsets(-1, 8, -1, at_ms=500)
    place = track.join(place, offsets(4, 8, 2, at_ms=60_000))
    assert place == offsets(4, 8, 2, at_ms=60_000)
    assert track.after(place, record(0, 9, second=90)).at_ms == 90_000


def test_offsets_compare_by_partition() -> None:
    track = KafkaTrack(9, 2)
    assert track.passed(offsets(5, 0), record(0, 4))
    assert not track.passed(offsets(5, 0), record(0, 5))
    assert not track.covers(offsets(5, 0), offsets(4, 1))
    assert track.covers(offsets(5, 1), offsets(5, 1))
    assert not track.covers(Cursor(0, 0), offsets(0, 0)), "unknown is before the first record"
    assert track.join(offsets(5, 0), offsets(4, 1)) == offsets(5, 1)


def test_entry_ids_compare_as_numbers_and_unknown_ones_by_time() -> None:
    track = RedisTrack(9)

    def last(entry_id: str) -> Cursor:
        return Cursor(0, 0, redis=((9, entry_id),))

    assert track.passed(last("1000-10"), entry("1000-9"))
    assert not track.passed(last("999-10"), entry("1000-1"))
    assert track.covers(last("10-0"), last("9-5"))
    assert not track.passed(Cursor(0, 0, at_ms=1000), entry("1000-0"))
    assert track.passed(Cursor(0, 0, at_ms=1000), entry("999-9"))
    assert track.covers(Cursor(0, 0), last("0-0")), "a stream never written to is caught up with at once"
    assert track.after(last("1-0"), entry("2-3")).redis == ((9, "2-3"),)


def test_positions() -> None:
    track = LedgerTrack()
    assert track.passed(Cursor(1, 5), event(4))
    assert track.after(Cursor(1, 5), event(7)) == Cursor(1, 8, 7000)
    assert track.between(Cursor(1, 5), Cursor(1, 8)) == 3


def test_one_cursor_over_several_logs() -> None:
    ledger, known, redis = Cursor(3, 8, 7000), offsets(4, 2, at_ms=9000), Cursor(0, 0, 8000, redis=((2, "8000-1"),))
    assert together([known, redis, ledger]) == Cursor(3, 8, 9000, ((9, (4, 2)),), ((2, "8000-1"),))


def test_a_log_still_unknown_holds_the_time_of_the_whole_cursor_back() -> None:
    ledger = Cursor(3, 8, 7000)
    assert together([ledger, Cursor(0, 0, at_ms=500)]).at_ms == 500
    assert together([ledger, offsets(4, -1, at_ms=600)]).at_ms == 600
