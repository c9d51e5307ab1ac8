"""What a live subscription hands out."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from schema.cursor import Cursor
from schema.event import Event


class Delivered(NamedTuple):
    """A matching event; `cursor` goes on right after it, in every log the subscription follows."""

    event: Event
    cursor: Cursor


class Gap(NamedTuple):
    """Said where DROP_OLDEST dropped `dropped` matching events; `cursor` goes on after them."""

    cursor: Cursor
    dropped: int


class CaughtUp(NamedTuple):
    """Backfill is over: everything committed before the subscription began was handed out; what follows is live."""

    cursor: Cursor


class Progress(NamedTuple):
    """Nothing matched for a while, and the cursor moved on all the same. `at`: when this was said."""

    cursor: Cursor
    at: datetime


Item = Delivered | Gap | CaughtUp | Progress


class Digest(NamedTuple):
    """Items of one step as one message (`eventBatches`); `cursor` goes on after all of them."""

    events: list[Event]
    cursor: Cursor
    dropped: int
    caught_up: bool


def digest(items: Sequence[Item]) -> Digest:
    """The items of one step, which are never empty, as one message."""
    return Digest(
        events=[item.event for item in items if isinstance(item, Delivered)],
        cursor=items[-1].cursor,
        dropped=sum(item.dropped for item in items if isinstance(item, Gap)),
        caught_up=any(isinstance(item, CaughtUp) for item in items),
    )
