"""Building a version in leaps: long stretches folded by PostgreSQL where the declaration and the events are plain."""

import time

from schema.errors import ErrorCode, EsbError
from store.projections.registry import Version
from store.projections.stretching import Done, Stretching, Went

_LEAST = 5_000
"""Positions below which a leap is not worth its statement."""
_FIRST_SPAN = 20_000
_MOST_SPAN = 200_000
_QUICK_S = 0.4
_SLOW_S = 1.5
_FIRST_DETOUR = 5_000
_MOST_DETOUR = 1_000_000


class Leaps:
    """The leaps of one version. After a stretch that was not plain the next positions are left to Python, more of them
    each time, so that a log of odd events costs little more than without leaps."""

    def __init__(self, stretching: Stretching, version: Version) -> None:
        self._stretching = stretching
        self._folding = stretching.folding(version)
        self._span = _FIRST_SPAN
        self._detour = _FIRST_DETOUR
        self._not_before = 0
        self._head = 0

    async def leap(self, version: Version) -> Done | None:
        """Move the version on by a stretch, None: not here. Raises LOG_UNAVAILABLE."""
        start = version.position
        if self._folding is None or version.live or start < self._not_before:
            return None
        if self._head - start < _LEAST:
            self._head = await self._stretching.head(version)
            if self._head - start < _LEAST:
                return None
        began = time.monotonic()
        try:
            done = await self._stretching.move(version, self._folding, min(start + self._span, self._head))
        except EsbError as error:
            if error.code is not ErrorCode.TIMEOUT:
                raise
            self._span = max(self._span // 4, _LEAST)
            self._go_around(start)
            return None
        if done.went is Went.NOT_PLAIN:
            self._go_around(start)
            return None
        self._pace(time.monotonic() - began)
        return done

    def _go_around(self, start: int) -> None:
        self._not_before = start + self._detour
        self._detour = min(2 * self._detour, _MOST_DETOUR)

    def _pace(self, seconds: float) -> None:
        if seconds < _QUICK_S:
            self._span = min(2 * self._span, _MOST_SPAN)
        elif seconds > _SLOW_S:
            self._span = max(self._span // 2, _LEAST)
