"""Streams and routes: made, changed, deleted and shown to those who may."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from msgspec import UNSET

from processors import stream_rules as rules
from schema.errors import ErrorCode, EsbError, bad_input
from schema.filter.document import to_document
from schema.filter.typed import parse_filter
from schema.identifier import IdentifierSource
from schema.principal import Action, Principal
from schema.stream import Retention, Route, Stream, StreamEngine
from schema.stream_input import RetentionInput as RetentionInput
from schema.stream_input import StreamInput as StreamInput
from schema.stream_input import StreamPatch as StreamPatch
from store.registry import Registry, StreamCache
from store.registry.creation import topic_taken
from store.signals.port import Signals, streams_topic

_SHOWN_BY = (Action.READ, Action.PUBLISH, Action.MANAGE)
_MAX_PRIORITY = 2**31 - 1


class Topics(Protocol):
    """The broker's topics."""

    async def exists(self, topic: str) -> bool:
        """Whether there is a topic of that name, or one that Kafka would confuse with it."""

    async def ensure(self, stream: Stream) -> bool:
        """Make the stream's topic unless it is there; whether it was made."""

    async def alter(self, stream: Stream) -> None:
        """Configure the topic as the stream says. Raises NOT_FOUND when there is no such topic."""


class StreamAdmin:
    """The use cases around streams and routes.

    `topics`: None where no Kafka is configured; then topics of ledger streams are made when one is. `engines`: those
    configured here besides the ledger.
    """

    def __init__(
        self,
        registry: Registry,
        cache: StreamCache,
        signals: Signals,
        topics: Topics | None,
        *,
        engines: Collection[StreamEngine],
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._signals = signals
        self._topics = topics
        self._engines = {StreamEngine.LEDGER, *engines}
        self._identifiers = IdentifierSource()

    async def list(self, principal: Principal) -> Sequence[Stream]:
        """The streams the caller may do something with, in the order they were made."""
        return [stream for stream in (await self._cache.view(principal.tenant)).streams if _shown(principal, stream)]

    async def get(self, principal: Principal, name: str) -> Stream | None:
        """The stream of that name; None when there is none the caller may do something with."""
        for look in (self._cache.view, self._cache.refresh):
            for stream in (await look(principal.tenant)).streams:
                if stream.stream_name == name:
                    return stream if _shown(principal, stream) else None
        return None

    async def create(self, principal: Principal, said: StreamInput) -> Stream:
        """Make a stream, and its topic before anybody sees it.

        Raises BAD_INPUT, FORBIDDEN, UNSUPPORTED_BY_ENGINE, or ALREADY_EXISTS for a name, or a topic, that is or ever
        was another's. A call whose outcome stayed unknown may be made again: either it says ALREADY_EXISTS, or it
        finishes what was begun.
        """
        rules.check_name(said.stream_name, "stream_name")
        principal.require(Action.MANAGE, said.stream_name)
        if said.engine not in self._engines:
            raise EsbError(
                ErrorCode.UNSUPPORTED_BY_ENGINE,
                f"the engine {said.engine.value} is not configured on this installation",
            )
        stream = self._wanted(principal.tenant, said)
        async with self._registry.creating(stream) as creation:
            if self._topics is not None and stream.engine is not StreamEngine.REDIS:
                if not creation.begun:
                    if await self._topics.exists(stream.topic):
                        raise topic_taken(stream)
                    await creation.begin()
                await self._topics.ensure(stream)
            made = await creation.finish()
        await self._changed(principal.tenant)
        return made

    async def patch(self, principal: Principal, name: str, said: StreamPatch) -> Stream:
        """Change what is given, and nothing else. Raises BAD_INPUT, FORBIDDEN, UNKNOWN_STREAM."""
        principal.require(Action.MANAGE, name)
        changes = _changes(said)
        stream = await self._registry.patch(principal.tenant, name, changes)
        if stream is None:
            raise _unknown(name)
        if changes:
            await self._changed(principal.tenant)
            await self._alter(stream)
        return stream

    async def delete(self, principal: Principal, name: str) -> Stream:
        """Delete a stream: nothing is published to it any more, its events stay. Raises FORBIDDEN, UNKNOWN_STREAM."""
        principal.require(Action.MANAGE, name)
        stream = await self._registry.delete(principal.tenant, name)
        if stream is None:
            raise _unknown(name)
        await self._changed(principal.tenant)
        return stream

    async def routes(self, principal: Principal) -> Sequence[Route]:
        """The routes to streams the caller may do something with, in the order they are asked."""
        view = await self._cache.view(principal.tenant)
        return [route for route in view.routes if any(principal.may(action, route.stream) for action in _SHOWN_BY)]

    async def create_route(
        self, principal: Principal, *, name: str, where: Mapping[str, Any], stream: str, priority: int = 0
    ) -> Route:
        """Make a route: events that match `where` and no stream's patterns go to `stream`; highest `priority` first.

        Raises BAD_INPUT, FORBIDDEN, UNKNOWN_STREAM, ALREADY_EXISTS.
        """
        rules.check_name(name, "name")
        rules.check_range(priority, -_MAX_PRIORITY, _MAX_PRIORITY, "priority")
        principal.require(Action.MANAGE, stream)
        made = await self._registry.create_route(
            Route(
                route_id="rte_" + self._identifiers.ulid(),
                tenant=principal.tenant,
                name=name,
                stream=stream,
                where=to_document(parse_filter(where)),
                priority=priority,
            )
        )
        await self._changed(principal.tenant)
        return made

    async def delete_route(self, principal: Principal, route_id: str) -> Route:
        """Delete a route. Raises FORBIDDEN, NOT_FOUND."""
        principal.require(Action.MANAGE)
        known = {route.route_id: route for route in await self._registry.routes(principal.tenant)}
        if route_id not in known:
            raise EsbError(ErrorCode.NOT_FOUND, "there is no route of that id")
        principal.require(Action.MANAGE, known[route_id].stream)
        gone = await self._registry.delete_route(principal.tenant, route_id)
        if gone is None:
            raise EsbError(ErrorCode.NOT_FOUND, "there is no route of that id")
        await self._changed(principal.tenant)
        return gone

    def _wanted(self, tenant: str, said: StreamInput) -> Stream:
        topic = said.stream_name if said.topic_name is None else said.topic_name
        rules.check_topic(topic)
        rules.check_range(said.partitions, 1, rules.MAX_PARTITIONS, "partitions")
        rules.check_range(said.replication_factor, 1, rules.MAX_REPLICATION, "replication_factor")
        return Stream(
            key=0,
            tenant=tenant,
            stream_id=self._identifiers.stream_id(),
            stream_name=said.stream_name,
            topic_name=topic,
            engine=said.engine,
            partitions=said.partitions,
            replication_factor=said.replication_factor,
            retention_policy=rules.retention(said.retention_policy, Retention()),
            compression=said.compression,
            cleanup_policy=said.cleanup_policy,
            event_patterns=rules.patterns(said.event_patterns or ()),
            schema_enforcement=said.schema_enforcement,
        )

    async def _alter(self, stream: Stream) -> None:
        """Bring the topic to what the registry says, also when somebody else changes the stream meanwhile."""
        if self._topics is None or stream.engine is StreamEngine.REDIS:
            return
        wanted: Stream | None = stream
        while wanted is not None:
            try:
                await self._topics.alter(wanted)
            except EsbError as error:
                if error.code is not ErrorCode.NOT_FOUND:
                    raise
                return  # made before there was a Kafka; whoever makes the topic reads the registry
            now = await self._registry.stream(stream.tenant, stream.stream_name)
            wanted = now if now != wanted else None

    async def _changed(self, tenant: str) -> None:
        """Let every process know, this one before the caller gets an answer."""
        self._signals.notify(streams_topic(tenant))
        try:
            await self._cache.refresh(tenant)
        except EsbError:
            self._cache.on_signal(streams_topic(tenant))  # what was done is done; the next look finds it


def _changes(said: StreamPatch) -> dict[str, Any]:
    """The columns a patch changes."""
    for name in ("compression", "cleanup_policy", "event_patterns", "schema_enforcement"):
        if getattr(said, name) is None:
            raise bad_input(f"{name} cannot be null; leave it out to keep it", field=name)
    changes: dict[str, Any] = {}
    if said.retention_policy is None:
        changes |= {"retention_time_ms": None, "retention_size_bytes": None}
    elif said.retention_policy is not UNSET:
        checked = rules.retention(said.retention_policy, Retention())
        if said.retention_policy.time_ms is not UNSET:
            changes["retention_time_ms"] = checked.time_ms
        if said.retention_policy.size_bytes is not UNSET:
            changes["retention_size_bytes"] = checked.size_bytes
    if said.compression is not UNSET:
        changes["compression"] = said.compression.value
    if said.cleanup_policy is not UNSET:
        changes["cleanup_policy"] = said.cleanup_policy.value
    if said.event_patterns is not UNSET:
        changes["event_patterns"] = list(rules.patterns(said.event_patterns))
    if said.schema_enforcement is not UNSET:
        changes["schema_enforcement"] = said.schema_enforcement.value
    return changes


def _shown(principal: Principal, stream: Stream) -> bool:
    return any(principal.may(action, stream.stream_name) for action in _SHOWN_BY)


def _unknown(name: str) -> EsbError:
    return EsbError(ErrorCode.UNKNOWN_STREAM, f"there is no stream {name!r}", details={"stream": name})
