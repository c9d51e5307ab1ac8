"""Identifiers: a prefix and a ULID, ascending within a process even inside one millisecond.

ULID: 48 bits of milliseconds and 80 random bits in Crockford's base 32 (github.com/ulid/spec). Publishers may bring
their own event ids; only then can they repeat a publish safely after a crash of theirs.
"""

import os
import re
import time
from threading import Lock

from ulid_transform import bytes_to_ulid

EVENT_ID = re.compile(r"evt_[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")

_RANDOM_BITS = 80


class IdentifierSource:
    """Makes ULIDs that sort in the order they were made. Within a millisecond the random part counts on by one
    (the specification's monotonic mode); a clock that steps back is not followed."""

    def __init__(self) -> None:
        self._last = 0
        self._later = 0  # nanoseconds since 1970 at which the next millisecond begins
        self._lock = Lock()

    def ulid(self) -> str:
        """26 characters, greater than every earlier one of this source."""
        now = time.time_ns()
        with self._lock:
            if now >= self._later:
                millisecond = now // 1_000_000
                self._later = (millisecond + 1) * 1_000_000
                # the top random bit stays clear, so that counting on never overflows into the time
                self._last = millisecond << _RANDOM_BITS | int.from_bytes(os.urandom(10)) >> 1
            else:
                self._last += 1
            value = self._last
        return bytes_to_ulid(value.to_bytes(16))

    def event_id(self) -> str:
        """A new event id."""
        return "evt_" + self.ulid()

    def stream_id(self) -> str:
        """A new stream id."""
        return "str_" + self.ulid()

    def replay_id(self) -> str:
        """A new replay id."""
        return "rpl_" + self.ulid()
