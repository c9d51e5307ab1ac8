"""Who is calling: bearer tokens (RFC 6750) in, Principals out."""

import time
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import httpx
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from gateway.auth.claims import ClaimRules, Unauthenticated, principal_of
from gateway.auth.key_sources import FixedKey, JwksKeys, KeySource
from gateway.auth.roles import Roles
from gateway.auth.token_cache import TokenCache
from gateway.auth.unverified import claims_of, peek
from gateway.settings import IssuerSettings
from schema.principal import Principal

LOCAL_ISSUER = "urn:esb:local"
LOCAL_ALGORITHM = "HS256"

# A deprecated name for Ed25519 signatures is accepted where an issuer is configured for it; saying so at every token
# would be noise.
warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)


class _Issuer(NamedTuple):
    rules: ClaimRules
    keys: KeySource
    registry: JWSRegistry
    algorithms: tuple[str, ...]
    speaks_for: Callable[[str], bool]


class Authenticator:
    """Verifies the tokens of the configured issuers and of this installation.

    `signing_key`: 32 secret bytes that sign local tokens; None: local tokens are refused. `revoked`: whether a verified
    caller's token is refused all the same. `token_life_s`: how long a token may still have to live.
    """

    def __init__(
        self,
        *,
        signing_key: bytes | None,
        roles: Roles,
        issuers: Sequence[IssuerSettings] = (),
        revoked: Callable[[Principal], bool] | None = None,
        token_life_s: float = float("inf"),
        cache_entries: int = 4096,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._roles = roles
        self._revoked = revoked
        self._token_life_s = token_life_s
        self._clock = clock
        self._cache = TokenCache(cache_entries, clock)
        self._client = httpx.AsyncClient(follow_redirects=False, timeout=5) if issuers else None
        self._issuers: dict[str, _Issuer] = {}
        if signing_key is not None:
            self._issuers[LOCAL_ISSUER] = _local(signing_key)
        for settings in issuers:
            self._issuers[settings.issuer] = self._remote(settings)

    async def principal(self, token: str) -> Principal:
        """The caller of a bearer token. Raises UNAUTHENTICATED, or TIMEOUT when its issuer's keys cannot be fetched."""
        principal = self._cache.get(token)
        if principal is None:
            principal = await self._verify(token)
            self._cache.put(token, principal)
        self.still(principal)
        return principal

    def still(self, principal: Principal) -> None:
        """Raise UNAUTHENTICATED when the token of a caller that came in before has expired or was revoked since."""
        if principal.expires_at <= self._clock():
            raise Unauthenticated("it has expired")
        if self._revoked is not None and self._revoked(principal):
            raise Unauthenticated("it was revoked")

    async def close(self) -> None:
        """Let go of the connections to issuers."""
        if self._client is not None:
            await self._client.aclose()

    async def _verify(self, token: str) -> Principal:
        header, said = peek(token)
        unverified = said.get("iss")
        issuer = self._issuers.get(unverified) if isinstance(unverified, str) else None
        if issuer is None:
            raise Unauthenticated("its issuer is not known here")
        if header.alg not in issuer.algorithms:
            raise Unauthenticated("its signature algorithm is not allowed for its issuer")
        key = await issuer.keys.key(header.kid)
        try:
            verified = jws.deserialize_compact(token, key, algorithms=issuer.algorithms, registry=issuer.registry)
        except (JoseError, ValueError, TypeError):
            raise Unauthenticated("its signature is not valid") from None
        claims = claims_of(verified.payload or b"")
        principal = principal_of(claims, issuer.rules, self._roles, self._clock(), self._token_life_s)
        if not issuer.speaks_for(principal.tenant):
            raise Unauthenticated("its issuer may not speak for that tenant")
        return principal

    def _remote(self, settings: IssuerSettings) -> _Issuer:
        assert self._client is not None
        return _Issuer(
            ClaimRules(settings.issuer, settings.audience, **settings.claims.model_dump()),
            JwksKeys(settings.jwks_url, self._client, self._cache.clear),
            JWSRegistry(algorithms=settings.algorithms, strict_check_header=False),
            settings.algorithms,
            settings.speaks_for,
        )


def _local(signing_key: bytes) -> _Issuer:
    return _Issuer(
        ClaimRules(LOCAL_ISSUER, LOCAL_ISSUER),
        FixedKey(OctKey.import_key(signing_key)),
        JWSRegistry(algorithms=[LOCAL_ALGORITHM]),
        (LOCAL_ALGORITHM,),
        lambda _tenant: True,
    )
