"""Streams, routes and aggregate types in PostgreSQL. Metadata only: no event passes here."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import Select, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.errors import ErrorCode, EsbError
from schema.stream import Route, Stream
from store.registry.creation import Creation
from store.registry.rows import route_of, stream_of
from store.registry.session import engine_for, transaction
from store.registry.tables import aggregate_types, routes, streams, tenants, topic_claims

MAX_ROUTES = 1000


class Registry:
    """What is configured, by tenant name. Every method raises LOG_UNAVAILABLE when PostgreSQL cannot be asked.

    `dsn`: of the tables' owner, as libpq writes it.
    """

    def __init__(self, dsn: str) -> None:
        self._engine = engine_for(dsn)
        self._creating = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    async def streams(self, tenant: str) -> list[Stream]:
        """The tenant's streams in the order they were made, without the deleted ones."""
        async with transaction(self._engine) as connection:
            rows = await connection.execute(_live(tenant).order_by(streams.c.key))
            return [stream_of(row, tenant) for row in rows]

    async def configuration(self, tenant: str) -> tuple[list[Stream], list[Route]]:
        """The tenant's live streams, and its routes, as one moment has them."""
        async with transaction(self._engine) as connection:
            await connection.execute(text("set transaction isolation level repeatable read"))
            found = await connection.execute(_live(tenant).order_by(streams.c.key))
            rules = await connection.execute(_ordered_routes(tenant))
            return [stream_of(row, tenant) for row in found], [route_of(row, tenant) for row in rules]

    async def stream(self, tenant: str, name: str) -> Stream | None:
        """The stream of that name, also a deleted one."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_of(tenant).where(streams.c.stream_name == name))).one_or_none()
            return row and stream_of(row, tenant)

    async def by_id(self, tenant: str, stream_id: str) -> Stream | None:
        """The stream of that id, also a deleted one."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_of(tenant).where(streams.c.stream_id == stream_id))).one_or_none()
            return row and stream_of(row, tenant)

    @asynccontextmanager
    async def creating(self, stream: Stream) -> AsyncIterator[Creation]:
        """One creation, alone in the installation; committed at the end of the block. The stream's `key` is ignored.

        Raises ALREADY_EXISTS for a name or topic that is taken.
        """

        async def claim(values: dict[str, Any]) -> None:
            async with transaction(self._engine) as other:
                await other.execute(insert(topic_claims).values(**values).on_conflict_do_nothing())

        async with self._creating:  # those that wait hold no connection
            async with transaction(self._engine) as connection:
                tenant = await _tenant_key(connection, stream.tenant)  # committed, or no claim could name it
            async with transaction(self._engine) as connection:
                creation = Creation(connection, tenant, stream, claim)
                await creation.check()
                yield creation

    async def create(self, stream: Stream) -> Stream:
        """Make a stream without a topic; the `key` is given here. Raises ALREADY_EXISTS."""
        async with self.creating(stream) as creation:
            return await creation.finish()

    async def patch(self, tenant: str, name: str, changes: Mapping[str, Any]) -> Stream | None:
        """Change columns of a live stream in one step; None when there is none of that name."""
        async with transaction(self._engine) as connection:
            if not changes:
                row = (await connection.execute(_live(tenant).where(streams.c.stream_name == name))).one_or_none()
            else:
                row = (
                    await connection.execute(
                        update(streams)
                        .where(_is(tenant, name), streams.c.deleted_at.is_(None))
                        .values(**changes)
                        .returning(streams)
                    )
                ).one_or_none()
            return row and stream_of(row, tenant)

    async def delete(self, tenant: str, name: str) -> Stream | None:
        """Delete a live stream: its events and its name stay. None when there is none of that name."""
        return await self.patch(tenant, name, {"deleted_at": func.now()})

    async def routes(self, tenant: str) -> list[Route]:
        """The tenant's routes, those with the highest priority first, then oldest first."""
        async with transaction(self._engine) as connection:
            rows = await connection.execute(_ordered_routes(tenant))
            return [route_of(row, tenant) for row in rows]

    async def create_route(self, route: Route) -> Route:
        """Make a route. Raises ALREADY_EXISTS, UNKNOWN_STREAM, or BAD_INPUT for one route too many."""
        async with transaction(self._engine) as connection:
            found = _live(route.tenant).where(streams.c.stream_name == route.stream)
            target = (await connection.execute(found)).one_or_none()
            if target is None:
                raise EsbError(ErrorCode.UNKNOWN_STREAM, f"there is no stream {route.stream!r}")
            count = select(func.count()).where(routes.c.tenant == target.tenant)
            if (await connection.execute(count)).scalar_one() >= MAX_ROUTES:
                raise EsbError(ErrorCode.BAD_INPUT, f"a tenant has at most {MAX_ROUTES} routes")
            made = await connection.execute(
                insert(routes)
                .values(
                    tenant=target.tenant,
                    route_id=route.route_id,
                    name=route.name,
                    stream=target.key,
                    filter=msgspec.json.encode(route.where).decode(),
                    priority=route.priority,
                )
                .on_conflict_do_nothing(index_elements=["tenant", "name"])
                .returning(routes.c.route_id)
            )
            if made.one_or_none() is None:
                raise EsbError(ErrorCode.ALREADY_EXISTS, f"the route {route.name!r} exists already")
            return route

    async def delete_route(self, tenant: str, route_id: str) -> Route | None:
        """Delete a route; None when there is none of that id."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_routes(tenant).where(routes.c.route_id == route_id))).one_or_none()
            if row is None:
                return None
            gone = await connection.execute(delete(routes).where(routes.c.route_id == route_id))
            return route_of(row, tenant) if gone.rowcount else None

    async def pin_aggregate_type(self, tenant: str, aggregate_type: str, stream_key: int) -> int:
        """Pin the type to the stream unless it is pinned already; the key of the stream it is pinned to.

        Of two that come at once the database lets one wait for the other, and both get the same answer.
        """
        async with transaction(self._engine) as connection:
            key = select(tenants.c.tenant).where(tenants.c.name == tenant).scalar_subquery()
            await connection.execute(
                insert(aggregate_types)
                .values(tenant=key, aggregate_type=aggregate_type, stream=stream_key)
                .on_conflict_do_nothing()
            )
            pinned = select(aggregate_types.c.stream).where(
                aggregate_types.c.tenant == key, aggregate_types.c.aggregate_type == aggregate_type
            )
            found: int = (await connection.execute(pinned)).scalar_one()
            return found


def _of(tenant: str) -> Select[Any]:
    return select(streams).join(tenants, tenants.c.tenant == streams.c.tenant).where(tenants.c.name == tenant)


def _live(tenant: str) -> Select[Any]:
    return _of(tenant).where(streams.c.deleted_at.is_(None))


def _is(tenant: str, name: str) -> Any:
    key = select(tenants.c.tenant).where(tenants.c.name == tenant).scalar_subquery()
    return (streams.c.tenant == key) & (streams.c.stream_name == name)


def _routes(tenant: str) -> Select[Any]:
    return (
        select(routes, streams.c.stream_name)
        .join(streams, streams.c.key == routes.c.stream)
        .join(tenants, tenants.c.tenant == routes.c.tenant)
        .where(tenants.c.name == tenant)
    )


def _ordered_routes(tenant: str) -> Select[Any]:
    return _routes(tenant).order_by(routes.c.priority.desc(), routes.c.route_id)


async def _tenant_key(connection: AsyncConnection, name: str) -> int:
    """The tenant's number, given on first use."""
    await connection.execute(insert(tenants).values(name=name).on_conflict_do_nothing())
    found: int = (await connection.execute(select(tenants.c.tenant).where(tenants.c.name == name))).scalar_one()
    return found
