"""A fresh token shown on a connection that stays open, so that nothing has to be connected anew and no event missed."""

from datetime import UTC, datetime

import msgspec

from schema.principal import Principal

_MAX_CHARS = 16 * 1024


class _Said(msgspec.Struct):
    authorization: str | None = None
    Authorization: str | None = None


_decoder = msgspec.json.Decoder(_Said)


def renewal_of(said: str | bytes | msgspec.Raw) -> str | None:
    """The `Bearer …` in `{"authorization": "Bearer …"}`; None where something else was said."""
    text = memoryview(said) if isinstance(said, msgspec.Raw) else said
    if not 0 < len(text) <= _MAX_CHARS:
        return None
    try:
        found = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found.authorization or found.Authorization


def expiry(principal: Principal) -> datetime | None:
    """When the caller's token expires; None: never."""
    return None if principal.expires_at == float("inf") else datetime.fromtimestamp(principal.expires_at, UTC)
