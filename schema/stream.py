"""Streams: a tenant's named, configured logs of events (capability specification, "Stream Configuration")."""

from enum import StrEnum

import msgspec


class StreamEngine(StrEnum):
    """Where a stream's commit happens."""

    LEDGER = "LEDGER"
    KAFKA = "KAFKA"
    REDIS = "REDIS"


class Compression(StrEnum):
    """Compression of the stream's Kafka topic."""

    NONE = "NONE"
    GZIP = "GZIP"
    SNAPPY = "SNAPPY"
    LZ4 = "LZ4"
    ZSTD = "ZSTD"


class CleanupPolicy(StrEnum):
    """Cleanup policy of the stream's Kafka topic."""

    DELETE = "DELETE"
    COMPACT = "COMPACT"


class SchemaEnforcement(StrEnum):
    """What happens to an event whose payload is not what its schema says. WARN: it is taken, counted and logged."""

    OFF = "OFF"
    WARN = "WARN"
    ENFORCE = "ENFORCE"


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long the Kafka topic keeps records; None: without limit."""

    time_ms: int | None = None
    size_bytes: int | None = None


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as configured. `key` is its number in the store, never shown and never used again."""

    key: int
    tenant: str
    stream_id: str
    stream_name: str
    topic_name: str
    engine: StreamEngine
    partitions: int = 4
    replication_factor: int = 1
    retention_policy: Retention = Retention()
    compression: Compression = Compression.SNAPPY
    cleanup_policy: CleanupPolicy = CleanupPolicy.DELETE
    event_patterns: tuple[str, ...] = ()
    schema_enforcement: SchemaEnforcement = SchemaEnforcement.OFF
    created: int = 0
    deleted: bool = False

    @property
    def topic(self) -> str:
        """The Kafka topic (or Redis key) that carries this stream."""
        return f"{self.tenant}.{self.topic_name}"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A routing rule: events that match `where` go to `stream`; the highest `priority` is asked first."""

    route_id: str
    tenant: str
    name: str
    stream: str
    where: dict[str, object]
    priority: int = 0
