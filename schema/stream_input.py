"""What a caller may say of a stream: structure and types. What they mean is checked by `processors.stream_admin`."""

from msgspec import UNSET, Struct, UnsetType

from schema.stream import CleanupPolicy, Compression, SchemaEnforcement, StreamEngine


class RetentionInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of a topic in milliseconds and bytes. None takes a limit away; what is left out stays as it is."""

    time_ms: int | UnsetType | None = UNSET
    size_bytes: int | UnsetType | None = UNSET


class StreamInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stream to create. `topic_name`: the stream's name when left out."""

    stream_name: str
    topic_name: str | None = None
    engine: StreamEngine = StreamEngine.LEDGER
    partitions: int = 4
    replication_factor: int = 1
    retention_policy: RetentionInput | None = None
    compression: Compression = Compression.SNAPPY
    cleanup_policy: CleanupPolicy = CleanupPolicy.DELETE
    event_patterns: list[str] | None = None
    schema_enforcement: SchemaEnforcement = SchemaEnforcement.OFF


class StreamPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change to a stream: what is left out stays. None takes a retention away."""

    retention_policy: RetentionInput | UnsetType | None = UNSET
    compression: Compression | UnsetType = UNSET
    cleanup_policy: CleanupPolicy | UnsetType = UNSET
    event_patterns: list[str] | UnsetType = UNSET
    schema_enforcement: SchemaEnforcement | UnsetType = UNSET
