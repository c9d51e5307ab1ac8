"""What a token says before its signature was checked: good for choosing a key or naming the token, nothing else."""

from base64 import urlsafe_b64decode
from typing import Any

import msgspec

from gateway.auth.claims import Unauthenticated

MAX_TOKEN_CHARS = 8192


class Header(msgspec.Struct):
    """The header of a signed token (RFC 7515)."""

    alg: str
    kid: str | None = None


def peek(token: str) -> tuple[Header, dict[str, Any]]:
    """Header and claims. Whatever is decided by them is decided again on the verified bytes. Raises UNAUTHENTICATED."""
    if len(token) > MAX_TOKEN_CHARS:
        raise Unauthenticated(f"it is longer than {MAX_TOKEN_CHARS} characters")
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise Unauthenticated("it is not a JSON Web Token")
    try:
        header = msgspec.json.decode(_segment(parts[0]), type=Header)
    except (ValueError, RecursionError):
        raise Unauthenticated("it is not a JSON Web Token") from None
    return header, claims_of(_segment(parts[1]))


def claims_of(payload: bytes) -> dict[str, Any]:
    """The claims in a token's payload; raises UNAUTHENTICATED where it is no JSON object."""
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise Unauthenticated("its claims are not a JSON object") from None


def _segment(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise Unauthenticated("it is not a JSON Web Token") from None
