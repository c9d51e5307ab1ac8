"""Pages of events: what a read found, and where each event and the whole read stand."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from schema.cursor import Cursor, PageCursor
from schema.errors import bad_input
from schema.event import MAX_PAGE, Event


class Order(Enum):
    """Ascending: as committed."""

    ASC = "A"
    DESC = "D"


class Bounds(NamedTuple):
    """What of a pinned read is left. Ascending: from `ledger` and `indexed` on; descending: before them.

    `ledger`, `ledger_end`: positions; `indexed`, `indexed_end`: places of the Kafka engine's index; the ends are those
    of the first page. `at_ms`: milliseconds since 1970 of the newest ledger event then.
    """

    epoch: int
    order: Order
    ledger: int
    ledger_end: int
    indexed: int
    indexed_end: int
    at_ms: int

    def page_cursor(self) -> PageCursor:
        """The bounds as they travel to the client and back."""
        return PageCursor(
            self.epoch, self.ledger_end, (self.order.value, self.ledger, self.indexed, self.indexed_end, self.at_ms)
        )

    @classmethod
    def of(cls, page: PageCursor, order: Order) -> "Bounds":
        """The bounds a client brought back; raises BAD_INPUT when they are from a read in the other order."""
        match page.last:
            case (str(letter), int(ledger), int(indexed), int(indexed_end), int(at_ms)):
                if letter != order.value:
                    raise bad_input("`after` is from a read in the other order")
                return cls(page.epoch, order, ledger, page.as_of, indexed, indexed_end, at_ms)
        raise bad_input("`after` is not from a page of events")


class EventPage:
    """A page of events.

    `places`: where a live subscription goes on right after each event. `as_of`: where one goes on after the whole read,
    without gap. `start_cursor`, `end_cursor`: texts for `after`; `end_cursor` may lie beyond the last event, where
    looking through events that did not match used up the budget.
    """

    def __init__(
        self,
        *,
        events: Sequence[Event],
        places: Sequence[Cursor],
        marks: Sequence[Bounds],
        end: Bounds,
        has_next: bool,
        has_previous: bool,
        as_of: Cursor,
        sign: Callable[[PageCursor], str],
    ) -> None:
        self.events = events
        self.places = places
        self.has_next = has_next
        self.has_previous = has_previous
        self.as_of = as_of
        self._marks = marks
        self._end = end
        self._sign = sign

    @property
    def cursors(self) -> list[str]:
        """The text for `after` of each event, signed when asked for."""
        return [self._sign(mark.page_cursor()) for mark in self._marks]

    @property
    def start_cursor(self) -> str | None:
        """That of the first event."""
        return self._sign(self._marks[0].page_cursor()) if self._marks else None

    @property
    def end_cursor(self) -> str | None:
        """Where the next page begins; None on an empty last page."""
        return self._sign(self._end.page_cursor()) if self._marks or self.has_next else None

    def part(self, chosen: Sequence[int], first: int) -> "EventPage":
        """The first of some of its events, as a page of their own; the page must be the last one of its read."""
        taken = chosen[:first]
        marks = [self._marks[place] for place in taken]
        more = len(chosen) > len(taken)
        return EventPage(
            events=[self.events[place] for place in taken],
            places=[self.places[place] for place in taken],
            marks=marks,
            end=marks[-1] if more else self._end,
            has_next=more,
            has_previous=False,
            as_of=self.as_of,
            sign=self._sign,
        )


def check_first(first: int) -> None:
    """Raise BAD_INPUT unless a page of that length may be asked for."""
    if not 1 <= first <= MAX_PAGE:
        raise bad_input(f"first must be between 1 and {MAX_PAGE}, not {first}", field="first")
