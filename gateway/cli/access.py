"""How the command line gets at an installation's database and makes tokens, whether or not a gateway runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from gateway.auth.roles import Roles
from gateway.auth.token_issuer import TokenIssuer
from gateway.settings import Settings
from store.database import Database
from store.embedded import EmbeddedPostgres, attach
from store.keys import Keys
from store.schema_state import bring_up_to_date


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The DSN of the installation: the configured PostgreSQL, the embedded one of a running gateway, or else the
    embedded one started for as long as the block lasts."""
    if settings.postgres_url:
        yield settings.postgres_url
    elif (dsn := attach(settings.data_dir)) is not None:
        yield dsn
    else:
        server = EmbeddedPostgres(settings.data_dir, reader_role=settings.postgres_reader_role)
        try:
            yield await server.start()
        finally:
            await server.stop()


@asynccontextmanager
async def token_issuer(settings: Settings) -> AsyncIterator[TokenIssuer]:
    """Makes tokens with the installation's own key; brings the database up to date first, where no gateway ever ran."""
    async with database_url(settings) as dsn:
        try:
            signing = await _signing_key(dsn, settings)
        except asyncpg.UndefinedTableError:
            await bring_up_to_date(dsn, settings.postgres_reader_role)
            signing = await _signing_key(dsn, settings)
        yield TokenIssuer(signing, Roles(settings.roles))


async def _signing_key(dsn: str, settings: Settings) -> bytes:
    database = Database(dsn, reader_role=settings.postgres_reader_role, max_size=1)
    await database.start()
    try:
        return (await Keys.load(database, settings.secrets)).signing
    finally:
        await database.close()
