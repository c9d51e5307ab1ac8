"""The registry's tables as SQLAlchemy Core sees them; the migrations make them."""

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, Integer, MetaData, Table, Text

_metadata = MetaData()

tenants = Table("tenants", _metadata, Column("tenant", Integer), Column("name", Text))

streams = Table(
    "streams",
    _metadata,
    Column("key", Integer),
    Column("tenant", Integer),
    Column("stream_id", Text),
    Column("stream_name", Text),
    Column("topic_name", Text),
    Column("engine", Text),
    Column("partitions", Integer),
    Column("replication_factor", Integer),
    Column("retention_time_ms", BigInteger),
    Column("retention_size_bytes", BigInteger),
    Column("compression", Text),
    Column("cleanup_policy", Text),
    Column("event_patterns", ARRAY(Text)),
    Column("schema_enforcement", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
)

routes = Table(
    "routes",
    _metadata,
    Column("tenant", Integer),
    Column("route_id", Text),
    Column("name", Text),
    Column("stream", Integer),
    Column("filter", Text),
    Column("priority", Integer),
)

topic_claims = Table(
    "topic_claims",
    _metadata,
    Column("confusable", Text, primary_key=True),
    Column("tenant", Integer),
    Column("stream_name", Text),
    Column("stream", Integer),
)

aggregate_types = Table(
    "aggregate_types",
    _metadata,
    Column("tenant", Integer, primary_key=True),
    Column("aggregate_type", Text, primary_key=True),
    Column("stream", Integer),
)
