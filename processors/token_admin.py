"""Revoking tokens: who may, which ones, for how long it has to be remembered."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from schema.errors import ErrorCode, EsbError, bad_input
from schema.principal import Action, Principal
from schema.revocation import Revocation, RevocationKind, RevocationRequest

MAX_VALUE_CHARS = 256
MAX_REASON_CHARS = 500
LONGEST_LIFE_S = 10 * 365 * 86400.0
_SKEW = timedelta(seconds=5)

_log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Where revocations are put in force: processors.revocations."""

    async def add(self, request: RevocationRequest) -> Revocation | None:
        """Record one; None when too many stand."""


class TokenAdmin:
    """Revokes tokens of the caller's tenant. `token_life_s`: no token that is accepted has longer to live, so a
    revocation may be forgotten after as long.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        token_life_s: float = LONGEST_LIFE_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._recorder = recorder
        self._life = timedelta(seconds=token_life_s)
        self._now = now

    async def revoke(
        self,
        principal: Principal,
        kind: RevocationKind,
        value: str,
        *,
        before: datetime | None = None,
        reason: str | None = None,
    ) -> Revocation:
        """Refuse one token, or those of a subject or client issued before an instant (None: by now).

        Needs the right to manage every stream; giving up the very token one calls with needs none. Raises FORBIDDEN,
        BAD_INPUT, RATE_LIMITED (too many revocations stand), LOG_UNAVAILABLE.
        """
        own = kind is RevocationKind.TOKEN and value == principal.token_id
        if not own and not _manages_all(principal):
            raise EsbError(
                ErrorCode.FORBIDDEN, "revoking tokens needs the right to manage every stream ('manage' on *)"
            )
        expires_at = self._now() + self._life
        if own and principal.expires_at < expires_at.timestamp():
            expires_at = datetime.fromtimestamp(principal.expires_at, UTC)
        by = principal.subject or principal.client or principal.token_id
        return await self.record(
            principal.tenant, kind, value, before=before, expires_at=expires_at, by=by, reason=reason
        )

    async def record(
        self,
        tenant: str,
        kind: RevocationKind,
        value: str,
        *,
        before: datetime | None = None,
        expires_at: datetime | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Revocation:
        """The same for an operator, who asks nobody. `expires_at`: when the last such token expires, if that is known.

        Raises BAD_INPUT, RATE_LIMITED, LOG_UNAVAILABLE.
        """
        now = self._now()
        _check(kind, value, before, reason, now)
        request = RevocationRequest(
            tenant=tenant,
            kind=kind,
            value=value,
            before=before or now,
            expires_at=expires_at or now + self._life,
            by=by,
            reason=reason,
        )
        made = await self._recorder.add(request)
        if made is None:
            raise EsbError(
                ErrorCode.RATE_LIMITED,
                "too many revocations of this kind stand in this tenant; revoke by subject or client, which hits many"
                " tokens at once",
                retry_after_ms=60_000,
            )
        _log.info("tokens revoked: %s %r of tenant %s, by %s: %s", kind.value, value, tenant, by, reason)
        return made


def _manages_all(principal: Principal) -> bool:
    return any(grant.action is Action.MANAGE and grant.streams == "*" for grant in principal.grants)


def _check(kind: RevocationKind, value: str, before: datetime | None, reason: str | None, now: datetime) -> None:
    if not 0 < len(value) <= MAX_VALUE_CHARS or not value.isprintable():
        raise bad_input(f"what is revoked is named by 1 to {MAX_VALUE_CHARS} printable characters", field=kind.value)
    if reason is not None and (len(reason) > MAX_REASON_CHARS or "\x00" in reason):
        raise bad_input(f"a reason has at most {MAX_REASON_CHARS} characters", field="reason")
    if before is None:
        return
    if kind is RevocationKind.TOKEN:
        raise bad_input("one token is revoked whole: `before` goes with a subject or a client", field="before")
    if before.tzinfo is None:
        raise bad_input("`before` needs its zone", field="before")
    if before > now + _SKEW:
        raise bad_input("`before` may not lie ahead: tokens that do not exist yet cannot be revoked", field="before")
