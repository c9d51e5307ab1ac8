"""`esb revoke`: tokens refused from the command line, whether or not a gateway runs."""

import getpass
import os
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.auth.claims import TENANT, claim
from gateway.auth.unverified import peek
from gateway.cli.access import database_url, opened
from gateway.settings import Settings
from processors.token_admin import TokenAdmin
from schema.errors import bad_input
from schema.revocation import Revocation, RevocationKind, RevocationRequest
from store.revocations import RevocationRows
from store.schema_state import bring_up_to_date

_LATEST = 1e11  # seconds since 1970; a datetime ends before


class Named(NamedTuple):
    """Tokens to revoke. `expires_at`: when the last of them expires, where that is known."""

    tenant: str
    kind: RevocationKind
    value: str
    expires_at: datetime | None = None


def named_by(token: str, settings: Settings) -> Named:
    """What a token names, read with its issuer's claim names. Its signature does not matter: who holds the database may
    revoke whatever he likes. Raises BAD_INPUT for a token without a `jti`, UNAUTHENTICATED for what is no token.
    """
    _, claims = peek(token)
    issuer = next((each for each in settings.issuers if each.issuer == claims.get("iss")), None)
    tenant, token_id = claim(claims, issuer.claims.tenant if issuer else "tenant"), claims.get("jti")
    if not isinstance(tenant, str) or not TENANT.match(tenant):
        raise bad_input("the token names no tenant")
    if not isinstance(token_id, str):
        raise bad_input("the token has no id (jti): revoke its --subject or --client, which hits it among others")
    return Named(tenant, RevocationKind.TOKEN, token_id, _instant(claims.get("exp")))


async def revoked(settings: Settings, named: Named, *, before: datetime | None, reason: str | None) -> Revocation:
    """Refuse tokens of a tenant in every gateway of the installation. Raises what TokenAdmin raises."""
    async with database_url(settings) as dsn:
        await bring_up_to_date(dsn, settings.postgres_reader_role)
        async with opened(dsn, settings) as database:
            limits = settings.limits
            rows = _Rows(RevocationRows(database), limits.revocations_per_tenant)
            return await TokenAdmin(rows, token_life_s=limits.token_life_s).record(
                named.tenant,
                named.kind,
                named.value,
                before=before,
                expires_at=named.expires_at,
                by=f"{_operator()} (esb revoke)",
                reason=reason,
            )


class _Rows:
    """Recorded, and nothing else: running gateways look by themselves within a second."""

    def __init__(self, rows: RevocationRows, most: int) -> None:
        self._rows = rows
        self._most = most

    async def add(self, request: RevocationRequest) -> Revocation | None:
        return await self._rows.put(request, self._most)


def _operator() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        return f"user {os.getuid()}"


def _instant(said: object) -> datetime | None:
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said < _LATEST:
        return None
    return datetime.fromtimestamp(said, UTC)
