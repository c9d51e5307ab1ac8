"""Replays: what is asked for."""

import strawberry
from strawberry import UNSET

from schema.graphql.filters import EventFilter
from schema.graphql.live import From
from schema.graphql.scalars import CursorText
from schema.replay import ReplayStatus

strawberry.enum(ReplayStatus, description="How it stands with a replay.")


@strawberry.input(one_of=True, description="what a replay fills")
class ReplayTarget:
    """Exactly one of its fields."""

    stream: str | None = strawberry.field(
        default=UNSET, description="a ledger stream that is not replayed itself; copies are marked in metadata.replay"
    )


@strawberry.input
class ReplayInput:
    """A range of the past to publish again. The end is pinned at the start: what is published later is not in it."""

    streams: list[str] | None = strawberry.field(
        default=UNSET, description="left out: all ledger streams the caller may read, but for the target"
    )
    where: EventFilter | None = UNSET
    from_: From = strawberry.field(name="from")
    until: CursorText | None = strawberry.field(default=UNSET, description="left out: the log's head at the start")
    target: ReplayTarget
    speed: float | None = strawberry.field(
        default=0,
        description="0: as fast as it goes; 1: as it happened, by `timestamp`; 60: an hour in a minute",
    )
