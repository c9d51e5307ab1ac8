"""The only place that chooses concrete parts: settings in, a gateway that serves out.

Parts start in the order of the layers, from the store up, and stop in the reverse order whatever failed in between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple, Protocol

from gateway.app import Gateway
from gateway.auth.authenticator import Authenticator
from gateway.auth.credentials import Credentials
from gateway.auth.development import DevelopmentToken
from gateway.auth.origins import Origins
from gateway.auth.roles import Roles
from gateway.auth.sessions import Sessions
from gateway.auth.tickets import Tickets
from gateway.auth.token_issuer import TokenIssuer
from gateway.drain import Drain
from gateway.event_sourcing import Ground, aggregates, projections, replays, schemas
from gateway.graphql.endpoint import GraphQLEndpoint
from gateway.graphql.limits import ConnectionLimits
from gateway.graphql.trusted import TrustedDocuments, read_manifest
from gateway.probes import Check, Readiness
from gateway.rest.guard import Guard
from gateway.rest.publishing import PublishingApi
from gateway.rest.reading import ReadingApi
from gateway.rest.routing import RoutingApi
from gateway.rest.schema_registry import SchemaRegistryApi
from gateway.rest.stream_ids import StreamIds
from gateway.rest.streams import StreamApi
from gateway.rest.tickets import TicketApi
from gateway.settings import Settings, TrustMode
from gateway.telemetry import Metrics, Tracing
from gateway.ws.events import EventSocket
from processors.admission.admission import Admission
from processors.admission.canonical import ContentHash
from processors.live.live import Live, LiveLimits
from processors.query import EventQueries
from processors.readable import ReadableStreams
from processors.revocations import Revocations
from processors.stream_admin import StreamAdmin
from processors.stream_admin import Topics as TopicsPort
from processors.token_admin import TokenAdmin
from resolvers.context import Services
from schema.cursor import CursorCodec
from schema.identifier import IdentifierSource
from schema.stream import StreamEngine
from store.database import Database
from store.embedded import EmbeddedPostgres
from store.keys import Keys
from store.ledger.answer import Commit
from store.ledger.reader import EventReader
from store.log.ledger import LedgerLogs
from store.log.logs import Logs, MakeLog
from store.registry import Registry, StreamCache
from store.revocations import RevocationRows
from store.schema_state import bring_up_to_date
from store.signals.port import Signals, log_topic
from store.tenants import Tenants
from store.tickets import TicketRows


class _Part(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class _Store(NamedTuple):
    """Where state rests, started."""

    database: Database
    tenants: Tenants
    keys: Keys
    registry: Registry
    views: StreamCache
    signals: Signals


class _Engines(NamedTuple):
    """What is there besides the ledger. `checks`: their part of readiness."""

    logs: dict[StreamEngine, MakeLog]
    topics: TopicsPort | None
    checks: dict[str, Check]


class CommitListeners:
    """Tells everyone in this process of a commit, and other processes by a signal. Never blocks."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._listeners: list[Callable[[Commit], None]] = []

    def add(self, listener: Callable[[Commit], None]) -> None:
        """From now on `listener` is called with each commit, in commit order."""
        self._listeners.append(listener)

    def __call__(self, commit: Commit) -> None:
        """This process has committed."""
        for listener in self._listeners:
            listener(commit)
        self._signals.notify(log_topic(commit.tenant))


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Gateway]:
    """Everything a gateway needs, started; stopped when the block ends. Raises EsbError for what cannot be reached."""
    async with AsyncExitStack() as stack:
        store = await _store(settings, stack)
        metrics = Metrics()
        engines = await _engines(settings, store, metrics, stack)
        committed = CommitListeners(store.signals)
        ledger = LedgerLogs(store.database, store.tenants, committed)
        await ledger.start()
        stack.push_async_callback(ledger.close)
        logs = Logs(ledger.get, store.tenants, engines.logs)
        stack.push_async_callback(logs.close)
        codec = CursorCodec(store.keys.cursor)
        reader = EventReader(store.database)
        live = Live(reader, logs, store.tenants, codec, limits=_live_limits(settings), recorder=metrics)
        committed.add(live.on_commit)
        store.signals.listen(live.on_signal, own=False)
        await _run(live, stack)
        metrics.watch_live(lambda: live.subscriptions, lambda: live.buffered_bytes)
        readable = ReadableStreams(store.views)
        # what the builders of gateway.event_sourcing take
        ground = Ground(store.database, store.tenants, store.signals, store.views, readable, logs, reader, codec)
        payloads = schemas(ground)
        admission = Admission(
            views=store.views,
            pins=store.registry,
            logs=logs,
            codec=codec,
            hashes=ContentHash(store.keys.content_hash),
            recorder=metrics,
            identifiers=IdentifierSource(),
            schemas=payloads.cache,
        )
        revocations = await _revocations(settings, store, stack)
        queries = EventQueries(ground.reader, ground.readable, store.tenants, logs, codec)
        folded = await aggregates(ground, live, stack)
        services = Services(
            admission=admission,
            streams=StreamAdmin(store.registry, store.views, store.signals, engines.topics, engines=set(engines.logs)),
            tokens=TokenAdmin(revocations, token_life_s=settings.limits.token_life_s),
            readable=readable,
            events=queries,
            live=live,
            codec=codec,
            aggregates=folded.aggregates,
            following=folded.following,
            projections=await projections(ground, stack),
            replays=await replays(ground, admission, queries, stack),
            schemas=payloads.schemas,
        )
        yield await _edge(settings, store, services, revocations, metrics, engines.checks, stack)


async def _store(settings: Settings, stack: AsyncExitStack) -> _Store:
    dsn = settings.postgres_url
    if dsn is None:
        server = EmbeddedPostgres(settings.data_dir, reader_role=settings.postgres_reader_role)
        stack.push_async_callback(server.stop)
        dsn = await server.start()
    await bring_up_to_date(dsn, settings.postgres_reader_role)
    database = Database(dsn, reader_role=settings.postgres_reader_role)
    await database.start()
    stack.push_async_callback(database.close)
    signals = _signals(settings, dsn)
    await _run(signals, stack)
    registry = Registry(dsn)
    stack.push_async_callback(registry.close)
    views = StreamCache(registry, signals)
    keys = await Keys.load(database, settings.secrets)
    return _Store(database, Tenants(database), keys, registry, views, signals)


def _signals(settings: Settings, dsn: str) -> Signals:
    if settings.redis_url:
        from store.signals.redis import redis_signals

        return redis_signals(settings.redis_url)
    if settings.postgres_url or settings.workers > 1:
        from store.signals.postgres import postgres_signals

        return postgres_signals(dsn)
    from store.signals.memory import memory_signals

    return memory_signals()


async def _engines(settings: Settings, store: _Store, metrics: Metrics, stack: AsyncExitStack) -> _Engines:
    logs: dict[StreamEngine, MakeLog] = {}
    checks: dict[str, Check] = {}
    topics: TopicsPort | None = None
    if settings.kafka_servers:
        topics = await _kafka(settings.kafka_servers, store, metrics, logs, stack)
    if settings.redis_url:
        from redis.asyncio import Redis

        from store.log.redis import RedisLog

        client = Redis.from_url(settings.redis_url, socket_timeout=5, socket_connect_timeout=5)
        stack.push_async_callback(client.aclose)
        logs[StreamEngine.REDIS] = lambda stream: RedisLog(stream, client)
    return _Engines(logs, topics, checks)


async def _kafka(
    servers: str, store: _Store, metrics: Metrics, logs: dict[StreamEngine, MakeLog], stack: AsyncExitStack
) -> TopicsPort:
    from processors.indexer import Indexer
    from processors.relay import Relay
    from store.checkpoints import Checkpoints
    from store.kafka_index import KafkaIndex
    from store.leases import Leases
    from store.log.kafka import KafkaLog
    from store.relay_source import RelaySource
    from store.topics import Topics

    topics, leases, checkpoints = Topics(servers), Leases(store.database), Checkpoints(store.database)
    stack.push_async_callback(leases.close)
    relay = Relay(servers, RelaySource(store.database), topics, leases, checkpoints)
    store.signals.listen(relay.on_signal)
    await _run(relay, stack)
    indexer = Indexer(servers, KafkaIndex(store.database, checkpoints), leases)
    await _run(indexer, stack)
    metrics.watch_lag(relay.lag, indexer.lag)
    logs[StreamEngine.KAFKA] = lambda stream: KafkaLog(stream, servers)
    return topics


async def _edge(
    settings: Settings,
    store: _Store,
    services: Services,
    revocations: Revocations,
    metrics: Metrics,
    checks: dict[str, Check],
    stack: AsyncExitStack,
) -> Gateway:
    limits = settings.limits
    tracing = Tracing(settings.otel_endpoint)
    stack.push_async_callback(asyncio.to_thread, tracing.close)
    roles = Roles(settings.roles)
    authenticator = Authenticator(
        signing_key=store.keys.signing if settings.local_tokens else None,
        roles=roles,
        issuers=settings.issuers,
        revoked=revocations.revoked,
        token_life_s=limits.token_life_s,
        cache_entries=limits.token_cache_entries,
    )
    stack.push_async_callback(authenticator.close)
    tickets = Tickets(TicketRows(store.database), ttl_s=limits.ticket_ttl_s, per_tenant=limits.tickets_per_tenant)
    origins = Origins(settings.allowed_origins)
    credentials = Credentials(authenticator, tickets, origins)
    drain = Drain()
    sessions = Sessions(revocations.revoked)
    revocations.listen(sessions.recheck)
    await _run(sessions, stack)
    graphql = GraphQLEndpoint(
        services=services,
        authenticator=authenticator,
        credentials=credentials,
        origins=origins,
        dev_token=DevelopmentToken(settings, TokenIssuer(store.keys.signing, roles)).for_page,
        tracing=tracing,
        drain=drain,
        sessions=sessions,
        connection_limits=ConnectionLimits.of(limits),
        trusted=_trusted(settings),
    )
    await _run(graphql, stack)
    socket = EventSocket(
        credentials=credentials,
        streams=services.readable,
        live=services.live,
        codec=services.codec,
        drain=drain,
        sessions=sessions,
        send_timeout_s=limits.send_timeout_s,
        buffer_bytes=limits.subscription_buffer_bytes,
    )
    ids = StreamIds(store.views)
    rest = (
        PublishingApi(services.admission, services.codec),
        ReadingApi(services.events, ids, services.codec),
        StreamApi(services.streams, ids),
        RoutingApi(services.streams, services.admission),
        TicketApi(tickets),
    )
    return Gateway(
        rest=[part.routes for part in rest],
        schema_registry=SchemaRegistryApi(services.schemas).routes,
        graphql=graphql.routes(),
        event_socket=socket,
        guard=Guard(credentials, tracing),
        origins=origins,
        readiness=Readiness({"postgresql": _answers(store.database), **checks}, drain),
        metrics=metrics,
        drain=drain,
        hosts=settings.hosts,
    )


async def _revocations(settings: Settings, store: _Store, stack: AsyncExitStack) -> Revocations:
    rows = RevocationRows(store.database)
    revocations = Revocations(rows, store.signals, per_tenant=settings.limits.revocations_per_tenant)
    store.signals.listen(revocations.on_signal, own=False)
    await _run(revocations, stack)
    return revocations


def _trusted(settings: Settings) -> TrustedDocuments | None:
    if settings.trusted_documents is None:
        return None
    return read_manifest(settings.trusted_documents, strict=settings.trusted_documents_mode is TrustMode.STRICT)


def _live_limits(settings: Settings) -> LiveLimits:
    return LiveLimits(subscriptions_per_tenant=settings.limits.subscriptions_per_tenant)


def _answers(database: Database) -> Check:
    async def check() -> None:
        async with database.writing(seconds=1.5) as connection:
            await connection.execute("select 1")

    return check


async def _run(part: _Part, stack: AsyncExitStack) -> None:
    """Start a part, and stop it at the end, also when its start fails half way."""
    stack.push_async_callback(part.stop)
    await part.start()
