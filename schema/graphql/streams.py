"""Streams and routes as GraphQL takes them in, and the parts of a stream that need nothing but its configuration."""

import strawberry
from strawberry import UNSET

from schema.graphql.enums import CleanupPolicy, Compression, SchemaEnforcement, StreamEngine
from schema.graphql.filters import EventFilter
from schema.graphql.interfaces import Node
from schema.graphql.scalars import JSON, Long
from schema.stream import Route as Rule
from schema.stream import Stream


@strawberry.type
class Retention:
    """How long the Kafka topic keeps records; null: without limit."""

    time_ms: Long | None
    size_bytes: Long | None


@strawberry.input
class RetentionInput:
    """How long the Kafka topic keeps records; null: without limit."""

    time_ms: Long | None = UNSET
    size_bytes: Long | None = UNSET


@strawberry.input
class StreamInput:
    """A stream to create."""

    stream_name: str
    topic_name: str | None = UNSET
    engine: StreamEngine | None = StreamEngine.LEDGER
    partitions: int | None = 4
    replication_factor: int | None = 1
    retention_policy: RetentionInput | None = UNSET
    compression: Compression | None = Compression.SNAPPY
    cleanup_policy: CleanupPolicy | None = CleanupPolicy.DELETE
    event_patterns: list[str] | None = UNSET
    schema_enforcement: SchemaEnforcement | None = SchemaEnforcement.OFF


@strawberry.input(description="only what is given changes; partitions and engine never change")
class StreamPatch:
    """A change to a stream."""

    retention_policy: RetentionInput | None = UNSET
    compression: Compression | None = UNSET
    cleanup_policy: CleanupPolicy | None = UNSET
    event_patterns: list[str] | None = UNSET
    schema_enforcement: SchemaEnforcement | None = UNSET


@strawberry.type
class StreamFields(Node):
    """A stream as configured. Fields left out here are read from the stream as they are."""

    id: strawberry.ID
    stream_id: strawberry.ID
    stream_name: str
    topic_name: str
    engine: StreamEngine
    partitions: int
    replication_factor: int
    retention_policy: Retention = strawberry.field(description="of the Kafka topic; the ledger keeps everything")
    compression: Compression
    cleanup_policy: CleanupPolicy
    event_patterns: list[str] = strawberry.field(description="which event types live here")
    schema_enforcement: SchemaEnforcement

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> object:
        if name == "stream" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.stream, "stream_id" if name == "id" else name)


@strawberry.input(description="a routing rule to create: events without a stream that match `where` go to `stream`")
class RouteInput:
    """A routing rule to create."""

    name: str
    where: EventFilter
    stream: str
    priority: int | None = strawberry.field(default=0, description="the highest is asked first")


@strawberry.type(description="a routing rule: asked, by priority, for events no stream's eventPatterns match")
class Route(Node):
    """A routing rule."""

    id: strawberry.ID
    name: str
    where: JSON = strawberry.field(description="the filter, as it was given")
    stream: str
    priority: int

    @classmethod
    def of(cls, rule: Rule) -> "Route":
        """The rule as GraphQL shows it."""
        return cls(
            id=strawberry.ID(rule.route_id),
            name=rule.name,
            where=JSON(rule.where),
            stream=rule.stream,
            priority=rule.priority,
        )


@strawberry.type
class DeleteRouteResult:
    """What was deleted."""

    route: Route
