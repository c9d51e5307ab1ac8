"""Prometheus metrics of one process. Labels are bounded: never a tenant, a stream or an id.

Children are looked up once: `.labels()` at every event would cost more than counting (1.4 against 0.4 µs).
"""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from schema.errors import ErrorCode
from schema.stream import SchemaEnforcement, StreamEngine

# Seconds. Ends where a caller has given up.
_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


# What a slow live subscription may have asked for: the policies of processors.live.request.Overflow.
_POLICIES = ("DISCONNECT", "DROP_OLDEST", "CONFLATE")


class Metrics:
    """Counts what happens; the layers below receive its methods as their recorder. One instance an application."""

    def __init__(self) -> None:
        # a second series a child, only to say when it was made: twice the page for nothing anyone charts
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        published = self._counter("esb_events_published", "Events committed", "engine")
        appended = Histogram(
            "esb_append_seconds",
            "From being handed in to being committed",
            ["engine"],
            buckets=_LATENCY,
            registry=self.registry,
        )
        rejected = self._counter("esb_events_rejected", "Events refused", "code")
        violated = self._counter("esb_schema_violations", "Events against their schema, or without one", "enforcement")
        overflowed = self._counter("esb_slow_consumers", "Times a live subscriber's budget was used up", "policy")
        dropped = self._counter("esb_events_dropped", "Events dropped for slow live subscribers", "policy")
        self._published = {engine: published.labels(engine.value.lower()) for engine in StreamEngine}
        self._appended = {engine: appended.labels(engine.value.lower()) for engine in StreamEngine}
        self._rejected = {code: rejected.labels(code.value) for code in ErrorCode}
        self._violated = {level: violated.labels(level.value.lower()) for level in SchemaEnforcement}
        self._overflowed = {policy: overflowed.labels(policy.lower()) for policy in _POLICIES}
        self._dropped = {policy: dropped.labels(policy.lower()) for policy in _POLICIES}
        self._delivered = Counter("esb_events_delivered", "Events handed to live subscribers", registry=self.registry)
        self._end_to_end = Histogram(
            "esb_end_to_end_seconds",
            "From commit to being handed to a live subscriber",
            buckets=_LATENCY,
            registry=self.registry,
        )

    def published(self, engine: StreamEngine, events: int, seconds: float) -> None:
        """So many events were committed, `seconds` after they were handed in."""
        self._published[engine].inc(events)
        self._appended[engine].observe(seconds)

    def rejected(self, code: ErrorCode, events: int) -> None:
        """So many events were refused."""
        self._rejected[code].inc(events)

    def violated(self, enforcement: SchemaEnforcement) -> None:
        """One event was not what its schema says."""
        self._violated[enforcement].inc()

    def delivered(self, events: int, seconds: float | None) -> None:
        """So many events were handed to one live subscriber; `seconds`: the newest one's age since its commit."""
        self._delivered.inc(events)
        if seconds is not None:
            self._end_to_end.observe(seconds)

    def overflowed(self, policy: str, events: int) -> None:
        """A live subscriber's budget was used up, and so many events were dropped by its policy (0: it was ended)."""
        self._overflowed[policy].inc()
        self._dropped[policy].inc(events)

    def watch_live(self, subscriptions: Callable[[], float], buffer_bytes: Callable[[], float]) -> None:
        """Ask these at each scrape: how many live subscriptions there are, and the bytes waiting in their buffers."""
        self._ask("esb_live_subscriptions", "Live subscriptions", subscriptions)
        self._ask("esb_live_buffer_bytes", "Waiting for live subscribers", buffer_bytes)

    def watch_lag(self, relay: Callable[[], float], indexer: Callable[[], float]) -> None:
        """Ask these at each scrape: events committed and not yet relayed; records of Kafka not yet indexed."""
        self._ask("esb_relay_lag_events", "Committed and not yet relayed", relay)
        self._ask("esb_indexer_lag_events", "In Kafka and not yet indexed by this process", indexer)

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)

    async def scraped(self) -> bytes:
        """The same, for who may also be answered by all workers of a gateway (gateway.telemetry.siblings)."""
        return self.exposition()

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, [label], registry=self.registry)

    def _ask(self, name: str, text: str, ask: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(ask)
