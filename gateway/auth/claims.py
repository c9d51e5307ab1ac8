"""The claims of a verified token (RFC 7519, RFC 9068) turned into a Principal."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.auth.roles import Roles
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal

TENANT = re.compile(r"[a-z0-9_-]{1,64}\Z")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,256}\Z")
_NOT_BEFORE_LEEWAY_S = 5


class Unauthenticated(EsbError):
    """The token opens nothing. The message says why in words that help its owner and no one else."""

    def __init__(self, why: str) -> None:
        super().__init__(ErrorCode.UNAUTHENTICATED, f"the token is refused: {why}")


class ClaimRules(NamedTuple):
    """How one issuer's claims are read. `audience`: what `aud` must name; None: it is not looked at."""

    issuer: str
    audience: str | None
    tenant: str = "tenant"
    subject: str = "sub"
    roles: str = "roles"
    client: str = "client_id"


def principal_of(
    claims: Mapping[str, Any], rules: ClaimRules, roles: Roles, now: float, longest_life_s: float = float("inf")
) -> Principal:
    """The caller a verified token speaks for; raises UNAUTHENTICATED for a claim that is missing, wrong or out of date.

    `longest_life_s`: how long a token may still have to live. Expiry has no leeway: an expired token is refused at
    once. `nbf` has five seconds, for clocks that run ahead.
    """
    if claims.get("iss") != rules.issuer:
        raise Unauthenticated("its issuer is not the one that signed it")
    expires_at = _instant(claims, "exp")
    if expires_at is None:
        raise Unauthenticated("it has no expiry (exp)")
    if expires_at <= now:
        raise Unauthenticated("it has expired")
    if expires_at > now + longest_life_s:
        raise Unauthenticated("it has longer to live than this installation accepts (limits.token_life_s)")
    not_before = _instant(claims, "nbf")
    if not_before is not None and not_before > now + _NOT_BEFORE_LEEWAY_S:
        raise Unauthenticated("it is not valid yet (nbf)")
    if rules.audience is not None and rules.audience not in _words(claims.get("aud"), split=False):
        raise Unauthenticated("it is meant for another audience (aud)")
    tenant = claim(claims, rules.tenant)
    if not isinstance(tenant, str) or not TENANT.match(tenant):
        raise Unauthenticated(f"its claim {rules.tenant!r} names no tenant ([a-z0-9_-], at most 64 characters)")
    return Principal(
        tenant=tenant,
        subject=_text(claims, rules.subject),
        client=_text(claims, rules.client),
        grants=roles.grants(_words(claim(claims, rules.roles), split=True)),
        expires_at=expires_at,
        token_id=_text(claims, "jti"),
        issued_at=_instant(claims, "iat"),
    )


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its whole name (URLs have dots), else walked by its dotted parts."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claim(claims, name)
    if value is None:
        return None
    if not isinstance(value, str) or not _PLAIN.match(value):
        raise Unauthenticated(f"its claim {name!r} must be a text of 1 to 256 characters without control characters")
    return value


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise Unauthenticated(f"its claim {name!r} is no instant")
    return float(value)


def _words(value: Any, *, split: bool) -> list[str]:
    """A list of texts, or one text (`split`: at spaces, as OAuth scopes are written)."""
    if isinstance(value, str):
        return value.split() if split else [value]
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
