"""Makes this installation's own tokens: for `esb token`, for development, for first steps."""

import time
from collections.abc import Callable, Sequence
from secrets import token_urlsafe

import msgspec
from joserfc import jws
from joserfc.jwk import OctKey

from gateway.auth.authenticator import LOCAL_ALGORITHM, LOCAL_ISSUER
from gateway.auth.claims import TENANT
from gateway.auth.roles import Roles
from schema.errors import bad_input

MAX_TTL_S = 10 * 365 * 86400


class TokenIssuer:
    """Signs tokens with the installation's key; whoever holds that key is the installation."""

    def __init__(self, signing_key: bytes, roles: Roles, clock: Callable[[], float] = time.time) -> None:
        self._key = OctKey.import_key(signing_key)
        self._roles = roles
        self._clock = clock

    def issue(
        self, tenant: str, roles: Sequence[str], ttl_s: float, *, subject: str = "local", client: str | None = None
    ) -> str:
        """A token for a tenant. `ttl_s`: seconds it is valid. Raises BAD_INPUT for a name that cannot be."""
        if not TENANT.match(tenant):
            raise bad_input("a tenant's name is 1 to 64 of a-z, 0-9, _ and -", field="tenant")
        unknown = [role for role in roles if role not in self._roles]
        if unknown or not roles:
            raise bad_input(f"the roles are {', '.join(self._roles.names())}", field="role", unknown=unknown)
        if not 0 < ttl_s <= MAX_TTL_S:
            raise bad_input("the time to live is more than 0 seconds and at most ten years", field="ttl")
        now = self._clock()
        claims = {
            "iss": LOCAL_ISSUER,
            "aud": LOCAL_ISSUER,
            "sub": subject,
            "tenant": tenant,
            "roles": list(roles),
            # to the millisecond: a token made right after a revocation of its subject must not look older than that
            "iat": round(now, 3),
            "exp": round(now + ttl_s, 3),
            "jti": token_urlsafe(12),
        } | ({"client_id": client} if client else {})
        header = {"alg": LOCAL_ALGORITHM, "typ": "JWT"}
        return jws.serialize_compact(header, msgspec.json.encode(claims), self._key, [LOCAL_ALGORITHM])
