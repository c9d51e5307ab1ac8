"""Which tokens are refused: a few look-ups for each request, nothing at all for tenants that revoked nothing."""

import msgspec

from schema.principal import Principal
from schema.revocation import Revocation, RevocationKind

_FORGET_EVERY_S = 60.0


class _Cut(msgspec.Struct):
    """Tokens issued before `before` are refused; needed until `expires_at`. Both in seconds since 1970."""

    before: float
    expires_at: float


class _OfTenant:
    def __init__(self) -> None:
        self.cuts: dict[RevocationKind, dict[str, _Cut]] = {kind: {} for kind in RevocationKind}

    def hold(self, principal: Principal) -> bool:
        if principal.token_id is not None and principal.token_id in self.cuts[RevocationKind.TOKEN]:
            return True
        return self._cut(RevocationKind.SUBJECT, principal.subject, principal.issued_at) or self._cut(
            RevocationKind.CLIENT, principal.client, principal.issued_at
        )

    def _cut(self, kind: RevocationKind, value: str | None, issued_at: float | None) -> bool:
        cut = self.cuts[kind].get(value) if value is not None else None
        # a token that does not say when it was issued may be as old as any
        return cut is not None and (issued_at is None or issued_at < cut.before)


class RevokedTokens:
    """The revocations of every tenant, by what they name."""

    def __init__(self) -> None:
        self._tenants: dict[str, _OfTenant] = {}
        self._forgot_at = 0.0

    def __len__(self) -> int:
        return sum(len(named) for tenant in self._tenants.values() for named in tenant.cuts.values())

    def hold(self, principal: Principal) -> bool:
        """Whether the token is refused."""
        tenant = self._tenants.get(principal.tenant)
        return tenant is not None and tenant.hold(principal)

    def add(self, one: Revocation) -> None:
        """Refuse what it names, besides what is refused already; the same one again changes nothing."""
        named = self._tenants.setdefault(one.tenant, _OfTenant()).cuts[one.kind]
        before, expires_at = one.before.timestamp(), one.expires_at.timestamp()
        known = named.get(one.value)
        if known is not None:
            before, expires_at = max(before, known.before), max(expires_at, known.expires_at)
        named[one.value] = _Cut(before, expires_at)

    def forget(self, now: float) -> None:
        """Let go of what can hit no token any more; looks once a minute. `now`: seconds since 1970."""
        if now - self._forgot_at < _FORGET_EVERY_S:
            return
        self._forgot_at = now
        for name, tenant in list(self._tenants.items()):
            for named in tenant.cuts.values():
                for value in [value for value, cut in named.items() if cut.expires_at < now]:
                    del named[value]
            if not any(tenant.cuts.values()):
                del self._tenants[name]
