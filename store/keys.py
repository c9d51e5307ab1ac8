"""The installation's secret keys: the same in every process, made by whichever comes first."""

import secrets
from base64 import urlsafe_b64decode
from typing import NamedTuple, Protocol, Self

from schema.errors import bad_input
from store.database import Database

_BYTES = 32
_FEWEST = 32
_MOST = 64  # BLAKE2b takes no longer key

_CREATE = "insert into secrets (name, value) values ($1, $2) on conflict (name) do nothing"
_READ = "select name, value from secrets where name = any($1)"


class Secret(Protocol):
    """A text that does not print itself."""

    def get_secret_value(self) -> str:
        """The text."""


class Overrides(Protocol):
    """Keys given from outside, base64url; they win over the stored ones, which then need not exist."""

    @property
    def cursor_key(self) -> Secret | None:
        """Signs cursors. A new one makes every cursor that is out invalid."""

    @property
    def content_hash_key(self) -> Secret | None:
        """Hashes contents of events. A new one makes a publisher's retry look like other content."""

    @property
    def signing_key(self) -> Secret | None:
        """Signs the installation's own tokens. A new one makes them all invalid."""


class Keys(NamedTuple):
    """The keys, 32 to 64 bytes each. `signing` is a symmetric one: only this installation verifies what it signs."""

    cursor: bytes
    content_hash: bytes
    signing: bytes

    @classmethod
    async def load(cls, database: Database, overrides: Overrides | None = None) -> Self:
        """The keys given, and for the others those stored in the database, made at the first start.

        Two processes that start at once agree: the database keeps the first, and both read back what it kept. Raises
        BAD_INPUT for a key that cannot be one, without showing it; LOG_UNAVAILABLE.
        """
        given = {name: _given(name, getattr(overrides, f"{name}_key", None)) for name in cls._fields}
        missing = [name for name, key in given.items() if key is None]
        stored = await _stored(database, missing) if missing else {}
        return cls(**{name: key if key is not None else stored[name] for name, key in given.items()})


def _given(name: str, secret: Secret | None) -> bytes | None:
    if secret is None:
        return None
    text = secret.get_secret_value().strip()
    try:
        key = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if text.isascii() else b""
    except ValueError:
        key = b""
    if not _FEWEST <= len(key) <= _MOST:
        raise bad_input(
            f"{name}_key must be {_FEWEST} to {_MOST} random bytes in base64url, as secrets.token_urlsafe(32) gives",
            setting=f"{name}_key",
        )
    return key


async def _stored(database: Database, names: list[str]) -> dict[str, bytes]:
    async with database.writing() as connection:
        rows = await connection.fetch(_READ, names)
        if len(rows) < len(names):
            await connection.executemany(_CREATE, [(name, secrets.token_bytes(_BYTES)) for name in names])
            rows = await connection.fetch(_READ, names)
    return {row["name"]: row["value"] for row in rows}
