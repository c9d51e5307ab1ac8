"""Many events in one message of a live subscription."""

import strawberry

from resolvers.event import Event
from schema.cursor import Cursor
from schema.graphql.event import SignCursor
from schema.graphql.scalars import CursorText, Long


@strawberry.type
class EventBatch:
    """What one step of a live subscription brought. `caughtUp`: backfill is over, in this batch or before it."""

    events: list[Event]
    cursor: CursorText
    dropped: Long
    caught_up: bool

    def __init__(self, events: list[Event], place: Cursor, sign: SignCursor, dropped: int, caught_up: bool) -> None:
        self.events = events
        self.place = place
        self.sign = sign
        self.dropped = Long(dropped)
        self.caught_up = caught_up

    def __getattr__(self, name: str) -> CursorText:
        if name != "cursor":
            raise AttributeError(name)
        return CursorText(self.sign(self.place))
