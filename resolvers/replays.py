"""Replays: the past, published again."""

from collections.abc import AsyncGenerator
from datetime import datetime

import strawberry
from strawberry import Info

from processors.replays.planning import ReplayAsked
from resolvers.arguments import given, where_of
from resolvers.context import Context
from schema.errors import bad_input
from schema.graphql.interfaces import Node
from schema.graphql.live import From
from schema.graphql.replays import ReplayInput
from schema.graphql.scalars import CursorText, Long
from schema.replay import Replay as Recorded
from schema.replay import ReplayStatus


@strawberry.type(description="a range of the past, published again elsewhere; each event once, in the log's order")
class Replay(Node):
    """A replay."""

    id: strawberry.ID
    status: ReplayStatus
    done: Long = strawberry.field(description="events published")
    total: Long | None = strawberry.field(description="of all it comes to; null where that cannot be known soon")
    started_at: datetime
    finished_at: datetime | None
    error: str | None = strawberry.field(description="why it failed, with the event named; resumeReplay goes on there")
    stream: str = strawberry.field(description="the stream it fills")
    speed: float

    def __init__(self, replay: Recorded) -> None:
        self.replay = replay
        self.id = strawberry.ID(replay.replay_id)
        self.status = replay.status
        self.done = Long(replay.done)
        self.total = None if replay.total is None else Long(replay.total)
        self.started_at = replay.started_at
        self.finished_at = replay.finished_at
        self.error = replay.error
        self.stream = replay.plan.stream
        self.speed = replay.plan.speed

    @strawberry.field(description="what comes after this was not replayed yet")
    async def cursor(self, info: Info[Context, None]) -> CursorText:
        """Where it stands."""
        context = info.context
        return CursorText(context.sign(await context.services.replays.cursor(self.replay)))


@strawberry.type
class ReplayQuery:
    """What can be asked of replays."""

    @strawberry.field(description="the newest two hundred, the newest first")
    async def replays(self, info: Info[Context, None]) -> list[Replay]:
        """Those whose target the caller may read."""
        context = info.context
        return [Replay(replay) for replay in await context.services.replays.newest(context.principal)]


@strawberry.type
class ReplayMutation:
    """Starting, pausing and ending replays."""

    @strawberry.mutation(description="needs `read` on what is replayed and `manage` on what is filled")
    async def start_replay(self, info: Info[Context, None], replay: ReplayInput) -> Replay:
        """Begin one."""
        context = info.context
        return Replay(await context.services.replays.start(context.principal, _asked(replay)))

    @strawberry.mutation(description="stop after the batch in hand")
    async def pause_replay(self, info: Info[Context, None], id: strawberry.ID) -> Replay:
        """Pause a running one."""
        return Replay(await info.context.services.replays.pause(info.context.principal, id))

    @strawberry.mutation(description="go on where it was paused, or failed")
    async def resume_replay(self, info: Info[Context, None], id: strawberry.ID) -> Replay:
        """Resume one."""
        return Replay(await info.context.services.replays.resume(info.context.principal, id))

    @strawberry.mutation(description="stop for ever; what was published stays")
    async def cancel_replay(self, info: Info[Context, None], id: strawberry.ID) -> Replay:
        """Cancel one."""
        return Replay(await info.context.services.replays.cancel(info.context.principal, id))


@strawberry.type
class ReplaySubscription:
    """Following a replay."""

    @strawberry.subscription(description="the replay now, then as it moves on, until it is done or cancelled")
    async def replay(self, info: Info[Context, None], id: strawberry.ID) -> AsyncGenerator[Replay, None]:
        """Twice a second at most while it runs; each change of its status at once."""
        context = info.context
        first = context.services.replays.follow(lambda: context.principal, id)
        return _each(first)


async def replay_node(context: Context, id: str) -> Replay | None:
    """The replay of that id, where the caller may read what it fills."""
    found = await context.services.replays.get(context.principal, id)
    return None if found is None else Replay(found)


async def _each(replays: AsyncGenerator[Recorded]) -> AsyncGenerator[Replay, None]:
    try:
        async for replay in replays:
            yield Replay(replay)
    finally:
        await replays.aclose()


def _asked(said: ReplayInput) -> ReplayAsked:
    stream, speed = given(said.target.stream), given(said.speed)
    if stream is None:
        raise bad_input("target says what to fill: a stream", field="target")
    return ReplayAsked(
        stream=stream,
        streams=given(said.streams),
        where=where_of(said.where),
        since=_since(said.from_),
        until=given(said.until),
        speed=0.0 if speed is None else speed,
    )


def _since(said: From) -> str | datetime | None:
    cursor, time = given(said.cursor), given(said.time)
    if cursor is not None:
        return cursor
    if time is not None:
        return time
    if said.beginning is True:
        return None
    raise bad_input("a replay is of the past: from a cursor, a time, or the beginning", field="from")


__all__ = ["ReplayMutation", "ReplayQuery", "ReplaySubscription", "replay_node"]
