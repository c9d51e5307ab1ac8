"""Streams and routes to rows and back."""

from typing import Any

import msgspec
from sqlalchemy import Row

from schema.stream import CleanupPolicy, Compression, Retention, Route, SchemaEnforcement, Stream, StreamEngine


def stream_of(row: Row[Any], tenant: str) -> Stream:
    """The stream of a row of `streams`."""
    return Stream(
        key=row.key,
        tenant=tenant,
        stream_id=row.stream_id,
        stream_name=row.stream_name,
        topic_name=row.topic_name,
        engine=StreamEngine(row.engine),
        partitions=row.partitions,
        replication_factor=row.replication_factor,
        retention_policy=Retention(time_ms=row.retention_time_ms, size_bytes=row.retention_size_bytes),
        compression=Compression(row.compression),
        cleanup_policy=CleanupPolicy(row.cleanup_policy),
        event_patterns=tuple(row.event_patterns),
        schema_enforcement=SchemaEnforcement(row.schema_enforcement),
        created=int(row.created_at.timestamp() * 1000),
        deleted=row.deleted_at is not None,
    )


def values_of(stream: Stream) -> dict[str, Any]:
    """What a row of `streams` says of a stream, but for its key and tenant."""
    return {
        "stream_id": stream.stream_id,
        "stream_name": stream.stream_name,
        "topic_name": stream.topic_name,
        "engine": stream.engine.value,
        "partitions": stream.partitions,
        "replication_factor": stream.replication_factor,
        "retention_time_ms": stream.retention_policy.time_ms,
        "retention_size_bytes": stream.retention_policy.size_bytes,
        "compression": stream.compression.value,
        "cleanup_policy": stream.cleanup_policy.value,
        "event_patterns": list(stream.event_patterns),
        "schema_enforcement": stream.schema_enforcement.value,
    }


def route_of(row: Row[Any], tenant: str) -> Route:
    """The route of a row of `routes` joined with its stream's name."""
    return Route(
        route_id=row.route_id,
        tenant=tenant,
        name=row.name,
        stream=row.stream_name,
        where=msgspec.json.decode(row.filter, type=dict[str, object]),
        priority=row.priority,
    )
