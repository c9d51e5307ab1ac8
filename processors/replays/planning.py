"""From what was asked to what a replay will do: which streams, from where to where, as the log stands now."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from processors.live.ports import Logs
from processors.query import EventQueries
from processors.readable import ReadableStreams, Views
from schema.cursor import Cursor, CursorCodec, CursorInvalid
from schema.errors import ErrorCode, EsbError, bad_input
from schema.filter.ast import Filter
from schema.filter.document import to_document
from schema.principal import Action, Principal
from schema.replay import ReplayPlan, ReplaySource
from schema.stream import Stream, StreamEngine
from store.ledger.reader import EventReader
from store.tenants import Tenant, Tenants

MAX_SPEED = 1e9


class ReplayAsked(NamedTuple):
    """What somebody asked for. `streams`: None means every ledger stream the caller may read, but for the target.
    `since`: a cursor's text, a `recorded_at`, or None: the beginning. `until`: a cursor's text; None: the head, now.
    """

    stream: str
    streams: Sequence[str] | None = None
    where: Filter | None = None
    since: str | datetime | None = None
    until: str | None = None
    speed: float = 0.0


class _Bound(NamedTuple):
    """One end of the range, by each measure there is. `at_ms`: milliseconds since 1970."""

    position: int
    offsets: dict[int, tuple[int, ...]]
    at_ms: int | None


class Planner:
    """Makes plans. `views` and `readable` know the streams, `queries`, `logs` and `reader` what is in them."""

    def __init__(
        self,
        *,
        views: Views,
        readable: ReadableStreams,
        queries: EventQueries,
        logs: Logs,
        reader: EventReader,
        tenants: Tenants,
        codec: CursorCodec,
    ) -> None:
        self._views = views
        self._readable = readable
        self._queries = queries
        self._logs = logs
        self._reader = reader
        self._tenants = tenants
        self._codec = codec

    async def plan(self, principal: Principal, asked: ReplayAsked) -> ReplayPlan:
        """The plan. Needs `manage` on the target, since copies say who published the originals, and `read` on the rest.

        Raises BAD_INPUT, FORBIDDEN, UNKNOWN_STREAM, UNSUPPORTED_BY_ENGINE, CURSOR_INVALID, and TIMEOUT while a Kafka
        stream's newest events are not indexed.
        """
        if not (math.isfinite(asked.speed) and 0 <= asked.speed <= MAX_SPEED):
            raise bad_input(f"speed must be between 0 (as fast as it goes) and {MAX_SPEED:g}", field="speed")
        principal.require(Action.MANAGE, asked.stream)
        target = await self._target(principal.tenant, asked.stream)
        sources = await self._sources(principal, asked, target)
        tenant = await self._tenants.refresh(principal.tenant)
        ledger = any(source.engine is StreamEngine.LEDGER for source in sources)
        kafka = [source for source in sources if source.engine is StreamEngine.KAFKA]
        await self._indexed(principal, kafka)
        head = await self._reader.head(tenant)
        since = await self._since(tenant, asked.since, head)
        until = _Bound(head, {}, None) if asked.until is None else await self._at(tenant, asked.until, head)
        return ReplayPlan(
            sources=tuple(
                ReplaySource(source.key, source.stream_name, source.engine, source.partitions if source in kafka else 0)
                for source in sources
            ),
            where=None if asked.where is None else to_document(asked.where),
            epoch=tenant.epoch,
            ledger=since.position if ledger else 1,
            ledger_end=until.position if ledger else 1,
            indexed=1,
            indexed_end=await self._reader.place_head(tenant) if kafka else 1,
            since_offsets=since.offsets,
            until_offsets=until.offsets,
            since_ms=since.at_ms,
            until_ms=until.at_ms,
            stream=target.stream_name,
            speed=asked.speed,
        )

    async def _target(self, tenant: str, name: str) -> Stream:
        found = {stream.stream_name: stream for stream in (await self._views.refresh(tenant)).streams}
        if name not in found:
            raise EsbError(ErrorCode.UNKNOWN_STREAM, f"there is no stream {name!r}", details={"stream": name})
        if found[name].engine is not StreamEngine.LEDGER:
            raise EsbError(
                ErrorCode.UNSUPPORTED_BY_ENGINE,
                f"a replay fills ledger streams: the {found[name].engine} engine of {name!r} cannot tell a new event"
                " from one it has",
            )
        return found[name]

    async def _sources(self, principal: Principal, asked: ReplayAsked, target: Stream) -> Sequence[Stream]:
        if asked.streams is not None:
            sources: Sequence[Stream] = await self._readable.named(principal, asked.streams)
        else:
            principal.require(Action.READ)
            sources = [
                stream
                for stream in (await self._views.view(principal.tenant)).streams
                if stream.engine is StreamEngine.LEDGER
                and stream != target
                and principal.may(Action.READ, stream.stream_name)
            ]
            if not sources:
                raise bad_input(f"there is no ledger stream besides {target.stream_name!r} to replay", field="streams")
        if target in sources:
            raise bad_input(f"stream {target.stream_name!r} cannot be replayed into itself", field="target")
        for source in sources:
            if source.engine is StreamEngine.REDIS:
                message = f"stream {source.stream_name!r} is of the Redis engine, which keeps no past to replay"
                raise EsbError(ErrorCode.UNSUPPORTED_BY_ENGINE, message)
        return sources

    async def _indexed(self, principal: Principal, kafka: Sequence[Stream]) -> None:
        """Wait until what Kafka streams hold now can be read from their index."""
        for stream in kafka:
            head = await (await self._logs.of(stream)).head()
            text = self._codec.encode(principal.tenant, head)
            await self._queries.page(principal, streams=[stream.stream_name], first=1, consistent_with=text)

    async def _since(self, tenant: Tenant, since: str | datetime | None, head: int) -> _Bound:
        if since is None:
            return _Bound(1, {}, None)
        if isinstance(since, str):
            return await self._at(tenant, since, head)
        if since.tzinfo is None:
            raise bad_input("a start time needs its zone", path="from.time")
        return _Bound(await self._reader.position_at(tenant, since), {}, int(since.timestamp() * 1000))

    async def _at(self, tenant: Tenant, text: str, head: int) -> _Bound:
        cursor = self._codec.decode(tenant.name, text)
        return _Bound(await self._position(tenant, cursor, head), dict(cursor.kafka), cursor.at_ms)

    async def _position(self, tenant: Tenant, cursor: Cursor, head: int) -> int:
        if not cursor.position:  # of a Kafka stream: it knows the time only
            return await self._reader.position_at(tenant, datetime.fromtimestamp(cursor.at_ms / 1000, UTC))
        if cursor.epoch != tenant.epoch:
            raise CursorInvalid("it is from another epoch of the log")
        if cursor.position > head:
            raise CursorInvalid("it lies beyond the end of the log")
        return cursor.position
