"""How the command line gets at an installation's database and makes tokens, whether or not a gateway runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from gateway.auth.roles import Roles
from gateway.auth.token_issuer import TokenIssuer
from gateway.settings import Settings
from schema.errors import bad_input
from store.database import Database
from store.embedded import EmbeddedPostgres, attach
from store.keys import Keys
from store.tenants import Tenants


@asynccontextmanager
async def database_url(settings: Settings, *, only_running: bool = False) -> AsyncIterator[str]:
    """The DSN of the installation: the configured PostgreSQL, the embedded one of a running gateway, or else the
    embedded one started for as long as the block lasts. `only_running`: raise BAD_INPUT instead of starting one."""
    if settings.postgres_url:
        yield settings.postgres_url
    elif (dsn := attach(settings.data_dir)) is not None:
        yield dsn
    elif only_running:
        raise bad_input(
            f"no gateway runs on the data folder {settings.data_dir}: start `esb serve`, or name the --data-dir of the "
            "running one, or give a --token"
        )
    else:
        server = EmbeddedPostgres(settings.data_dir, reader_role=settings.postgres_reader_role)
        try:
            yield await server.start()
        finally:
            await server.stop()


@asynccontextmanager
async def token_issuer(settings: Settings, *, only_running: bool = False) -> AsyncIterator[TokenIssuer]:
    """Makes tokens with the installation's own key; brings the database up to date first, where no gateway ever ran."""
    async with database_url(settings, only_running=only_running) as dsn:
        try:
            signing = await _signing_key(dsn, settings)
        except asyncpg.UndefinedTableError:
            # only here: alembic takes seconds to import, and tokens are made in scripts
            from store.migrate import upgrade

            await asyncio.to_thread(upgrade, dsn, settings.postgres_reader_role)
            signing = await _signing_key(dsn, settings)
        yield TokenIssuer(signing, Roles(settings.roles))


async def bumped_epoch(settings: Settings, tenant: str) -> int:
    """Begin a new epoch of a tenant's log; its number. Raises NOT_FOUND for a tenant that has no log."""
    async with database_url(settings) as dsn, opened(dsn, settings) as database:
        return (await Tenants(database).bump_epoch(tenant)).epoch


async def _signing_key(dsn: str, settings: Settings) -> bytes:
    async with opened(dsn, settings) as database:
        return (await Keys.load(database, settings.secrets)).signing


@asynccontextmanager
async def opened(dsn: str, settings: Settings) -> AsyncIterator[Database]:
    """The database, with a connection for each kind of work."""
    database = Database(dsn, reader_role=settings.postgres_reader_role, max_size=1)
    await database.start()
    try:
        yield database
    finally:
        await database.close()
