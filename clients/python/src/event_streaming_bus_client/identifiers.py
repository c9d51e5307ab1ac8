"""Event ids: `evt_` and a ULID (github.com/ulid/spec), so that a publish may be sent again and is committed once."""

import os
import time

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def event_id() -> str:
    """A new id: 48 bits of milliseconds since 1970 and 80 random bits, in Crockford's base 32."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "evt_" + "".join(_LETTERS[value >> shift & 31] for shift in range(125, -1, -5))
