"""The peer of `graphql-publish`: a GraphQL server as the manuals show it, run as a process of its own.

Strawberry's ASGI application on uvicorn, one mutation, SQLAlchemy's asyncio engine on asyncpg, one insert and one
commit a request, into a table with the columns and indexes of our events table. No authentication, routing, duplicates,
versions or gapless places: it does less than ours.

`python -m tests.benchmarks.strawberry_peer DSN PORT`
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

import sqlalchemy as sa
import strawberry
import uvicorn
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from strawberry.asgi import GraphQL
from strawberry.scalars import JSON
from ulid_transform import ulid_now

TEXT = sa.Text(collation="C")
METADATA = sa.MetaData()
EVENTS = sa.Table(
    "peer_events",
    METADATA,
    sa.Column("tenant", sa.Integer, nullable=False),
    sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("stream", sa.Integer, nullable=False),
    sa.Column("sequence_number", sa.BigInteger),
    sa.Column("ts", sa.DateTime(timezone=True), nullable=False),
    sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("event_id", TEXT, nullable=False, unique=True),
    sa.Column("event_type", TEXT, nullable=False),
    sa.Column("aggregate_type", TEXT),
    sa.Column("aggregate_id", TEXT),
    sa.Column("correlation_id", TEXT),
    sa.Column("causation_id", TEXT),
    sa.Column("body", TEXT, nullable=False),
    sa.Index("peer_place", "stream", "position"),
    sa.Index("peer_type", "event_type", "tenant", "position"),
    sa.Index("peer_aggregate", "aggregate_id", "aggregate_type", "tenant", "sequence_number"),
)


@strawberry.input
class EventInput:
    event_type: str
    payload: JSON
    event_version: str = "1.0"
    aggregate_id: strawberry.ID | None = None
    aggregate_type: str | None = None
    correlation_id: strawberry.ID | None = None
    stream: str | None = None


@strawberry.type
class Receipt:
    event_id: strawberry.ID
    stream: str
    position: int
    recorded_at: datetime
    duplicate: bool


@strawberry.type
class Query:
    ok: bool = True


def schema(engine: AsyncEngine) -> strawberry.Schema:
    @strawberry.type
    class Mutation:
        @strawberry.mutation
        async def publish_event(self, event: EventInput) -> Receipt:
            now, event_id = datetime.now(UTC), f"evt_{ulid_now()}"
            body = {
                "event_id": event_id,
                "event_type": event.event_type,
                "event_version": event.event_version,
                "aggregate_id": event.aggregate_id,
                "aggregate_type": event.aggregate_type,
                "timestamp": now.isoformat(),
                "correlation_id": event.correlation_id,
                "tenant_id": "bench",
                "metadata": {},
                "payload": event.payload,
            }
            row = {
                "tenant": 1,
                "stream": 1,
                "ts": now,
                "recorded_at": now,
                "event_id": event_id,
                "event_type": event.event_type,
                "aggregate_type": event.aggregate_type,
                "aggregate_id": event.aggregate_id,
                "correlation_id": event.correlation_id,
                "body": json.dumps(body),
            }
            async with engine.begin() as connection:
                position = await connection.scalar(sa.insert(EVENTS).values(row).returning(EVENTS.c.position))
            return Receipt(
                event_id=strawberry.ID(event_id),
                stream=event.stream or "",
                position=int(position or 0),
                recorded_at=now,
                duplicate=False,
            )

    return strawberry.Schema(query=Query, mutation=Mutation)


async def prepare(address: str) -> None:
    """Make the table."""
    engine = create_async_engine(address)
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    await engine.dispose()


def main(dsn: str, port: int) -> None:
    address = dsn.replace("postgresql://", "postgresql+asyncpg://", 1)
    asyncio.run(prepare(address))
    app = GraphQL(schema(create_async_engine(address, pool_size=20)), graphql_ide=None)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        timeout_keep_alive=75,  # its connections lie idle while the other side is measured
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
