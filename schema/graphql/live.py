"""What live subscriptions say, and where they start."""

from datetime import datetime

import strawberry
from strawberry import UNSET

from schema.cursor import Cursor
from schema.graphql.event import SignCursor
from schema.graphql.interfaces import FeedItem
from schema.graphql.scalars import CursorText, Long


@strawberry.input(
    one_of=True,
    description=(
        "where a live subscription starts: now, from a cursor (nothing missed, nothing twice), from a recordedAt,"
        " or from the beginning. `false` is BAD_INPUT"
    ),
)
class From:
    """Exactly one of its fields."""

    live: bool | None = UNSET
    cursor: CursorText | None = UNSET
    time: datetime | None = UNSET
    beginning: bool | None = UNSET


class _Said:
    """What stands between events: a place, signed when it is selected."""

    def __init__(self, place: Cursor, sign: SignCursor) -> None:
        self.place = place
        self.sign = sign

    def __getattr__(self, name: str) -> str:
        if name != "cursor":
            raise AttributeError(name)
        return self.sign(self.place)


@strawberry.type
class Gap(_Said, FeedItem):
    """A slow subscriber asked to be told of its losses rather than be cut off."""

    dropped: Long

    def __init__(self, place: Cursor, sign: SignCursor, dropped: int) -> None:
        super().__init__(place, sign)
        self.dropped = Long(dropped)


@strawberry.type(description="backfill is over; what follows is live")
class CaughtUp(_Said, FeedItem):
    """Said once a subscription, as soon as it holds for it."""

    def __init__(self, place: Cursor, sign: SignCursor) -> None:
        super().__init__(place, sign)


@strawberry.type(description="nothing matched for a while; the cursor moved on")
class Progress(_Said, FeedItem):
    """Lets a subscriber whose filter seldom matches resume from where the log is, not from its last event."""

    at: datetime

    def __init__(self, place: Cursor, sign: SignCursor, at: datetime) -> None:
        super().__init__(place, sign)
        self.at = at
