"""Places in one log, and how they compare: one integer, one offset a partition, or one entry id.

A place is a `Cursor` that speaks of one log only and says where to go on. Following several logs is keeping one place
each; `together` makes the cursor a subscriber sees.
"""

from collections.abc import Sequence
from typing import Protocol

from schema.cursor import Cursor
from schema.event import NEVER, Event


class Track(Protocol):
    """The arithmetic of places in one log."""

    def passed(self, place: Cursor, event: Event) -> bool:
        """Whether the event lies before the place."""

    def after(self, place: Cursor, event: Event) -> Cursor:
        """The place moved on past the event, which must not be passed yet."""

    def join(self, place: Cursor, other: Cursor) -> Cursor:
        """The place after everything either place is after."""

    def covers(self, place: Cursor, other: Cursor) -> bool:
        """Whether everything before `other` lies before `place`."""

    def between(self, place: Cursor, later: Cursor) -> int:
        """How many events lie between two places: exact where places count events, else 0."""


class LedgerTrack:
    """Positions, gapless from 1."""

    def passed(self, place: Cursor, event: Event) -> bool:
        """Whether the event's position is before the place's."""
        return event.position < place.position  # type: ignore[operator]  # the ledger gives every event a position

    def after(self, place: Cursor, event: Event) -> Cursor:
        """The next position."""
        return Cursor(place.epoch, event.position + 1, at_ms(event))  # type: ignore[operator]

    def join(self, place: Cursor, other: Cursor) -> Cursor:
        """The higher position."""
        return place if place.position >= other.position else other

    def covers(self, place: Cursor, other: Cursor) -> bool:
        """Whether the position is as high."""
        return place.position >= other.position

    def between(self, place: Cursor, later: Cursor) -> int:
        """The difference of the positions."""
        return later.position - place.position


class KafkaTrack:
    """Next offsets by partition of the stream `key`; -1, or a partition left out: not known yet, said by `at_ms`."""

    def __init__(self, key: int, partitions: int) -> None:
        self._key = key
        self._partitions = partitions

    def passed(self, place: Cursor, event: Event) -> bool:
        """Whether the event's offset is before the next one of its partition."""
        return (event.offset or 0) < self._offsets(place)[event.partition or 0]

    def after(self, place: Cursor, event: Event) -> Cursor:
        """The offset after the event's in its partition."""
        offsets = list(self._offsets(place))
        offsets[event.partition or 0] = (event.offset or 0) + 1
        return self._place(offsets, place.at_ms, at_ms(event))

    def join(self, place: Cursor, other: Cursor) -> Cursor:
        """The higher offset of each partition."""
        offsets = [max(pair) for pair in zip(self._offsets(place), self._offsets(other), strict=True)]
        return self._place(offsets, place.at_ms, other.at_ms)

    def covers(self, place: Cursor, other: Cursor) -> bool:
        """Whether every partition's offset is as high."""
        return all(mine >= theirs for mine, theirs in zip(self._offsets(place), self._offsets(other), strict=True))

    def between(self, place: Cursor, later: Cursor) -> int:
        """Not known: offsets have holes."""
        return 0

    def _offsets(self, place: Cursor) -> Sequence[int]:
        for key, offsets in place.kafka:
            if key == self._key:
                return offsets + (-1,) * (self._partitions - len(offsets))
        return (-1,) * self._partitions

    def _place(self, offsets: Sequence[int], old_ms: int, new_ms: int) -> Cursor:
        # A partition still unknown starts at its first record not older than `at_ms`: moving that on would skip some.
        newest = old_ms if -1 in offsets else max(old_ms, new_ms)
        return Cursor(0, 0, newest, kafka=((self._key, tuple(offsets)),))


class RedisTrack:
    """The last entry id seen of the stream `key`; left out: not known yet, said by `at_ms`."""

    def __init__(self, key: int) -> None:
        self._key = key

    def passed(self, place: Cursor, event: Event) -> bool:
        """Whether the event's entry id is not after the last one seen."""
        return _entry(event.entry_id or "0-0") <= self._last(place)

    def after(self, place: Cursor, event: Event) -> Cursor:
        """The event's entry id is the last one seen."""
        return Cursor(0, 0, max(place.at_ms, at_ms(event)), redis=((self._key, event.entry_id or "0-0"),))

    def join(self, place: Cursor, other: Cursor) -> Cursor:
        """The later entry id."""
        return place if self._last(place) >= self._last(other) else other

    def covers(self, place: Cursor, other: Cursor) -> bool:
        """Whether the last entry id seen is as late."""
        return self._last(place) >= self._last(other)

    def between(self, place: Cursor, later: Cursor) -> int:
        """Not known."""
        return 0

    def _last(self, place: Cursor) -> tuple[int, int]:
        for key, entry_id in place.redis:
            if key == self._key:
                return _entry(entry_id)
        # Entry ids begin with the milliseconds of their commit; no entry is ever 0-0.
        return (place.at_ms, -1) if place.at_ms else (0, 0)


def _entry(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def at_ms(event: Event) -> int:
    """Milliseconds since 1970 of the event's commit."""
    return int((event.recorded_at - NEVER).total_seconds() * 1000)


def together(places: Sequence[Cursor]) -> Cursor:
    """One cursor over several logs' places. At most one of them is a ledger's."""
    if len(places) == 1:
        return places[0]
    ledger = next((place for place in places if place.position), Cursor(0, 0))
    unknown = [place.at_ms for place in places if _unknown(place)]
    return Cursor(
        ledger.epoch,
        ledger.position,
        # `at_ms` is where unknown partitions start: with one of them left, the newest time would skip its records.
        min(unknown) if unknown else max(place.at_ms for place in places),
        kafka=tuple(part for place in places for part in place.kafka),
        redis=tuple(part for place in places for part in place.redis),
    )


def _unknown(place: Cursor) -> bool:
    if place.position or place.redis:
        return False
    return not place.kafka or any(-1 in offsets for _, offsets in place.kafka)
