"""The connections held open in this process, and the tokens they stand on: ended when a token expires or is revoked.

Whatever stays open (sockets, event streams, multipart answers) opens a Session and is told through it when it has to
end. One task looks at all of them, on the wall clock that `exp` is written in: no timer a socket, and a clock that is
set forward ends what it should.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Self

import structlog

from schema.principal import Principal

EXPIRED = "the token has expired"
REVOKED = "the token was revoked"

TICK_S = 0.25
_BUCKET_S = 32
_FURTHEST = 2.0**52

_log = structlog.get_logger(__name__)

End = Callable[[str], None]
"""Ends a connection; the argument says why, in words for its client. Called once at most, and must not block."""


class Session:
    """One connection's hold on its token. `close` it when the connection has ended, whoever ended it."""

    __slots__ = ("_end", "_sessions", "principal")

    def __init__(self, sessions: "Sessions", principal: Principal, end: End) -> None:
        self._sessions = sessions
        self._end = end
        self.principal = principal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def renew(self, principal: Principal) -> None:
        """Go on with a new token of the same caller, until that one expires or is revoked."""
        self._sessions.move(self, principal)

    def close(self) -> None:
        """The connection has ended. May be called twice."""
        self._sessions.forget(self)

    def end(self, reason: str) -> None:
        """End the connection."""
        try:
            self._end(reason)
        except Exception:
            _log.exception("a connection could not be ended", reason=reason)


class Sessions:
    """All sessions of this process. `revoked`: whether a caller's token is refused by now. `clock`: seconds since 1970.

    They lie in buckets by expiry, so that a tick looks at those due within half a minute and at no others.
    """

    def __init__(self, revoked: Callable[[Principal], bool], clock: Callable[[], float] = time.time) -> None:
        self._revoked = revoked
        self._clock = clock
        self._buckets: dict[int, set[Session]] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    async def start(self) -> None:
        """Begin to look at the clock."""
        self._task = asyncio.create_task(self._tick(), name="sessions")

    async def stop(self) -> None:
        """Stop looking; what is open stays open. May be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def open(self, principal: Principal, end: End) -> Session:
        """Hold a connection to its token. Where that has lapsed since it was verified, `end` is called at once."""
        session = Session(self, principal, end)
        self._put(session)
        return session

    def move(self, session: Session, principal: Principal) -> None:
        """See `Session.renew`; a session that has ended stays ended."""
        if self.forget(session):
            session.principal = principal
            self._put(session)

    def forget(self, session: Session) -> bool:
        """See `Session.close`; whether it was open."""
        key = _bucket(session.principal.expires_at)
        bucket = self._buckets.get(key, set())
        if session not in bucket:
            return False
        bucket.remove(session)
        if not bucket:
            del self._buckets[key]
        return True

    def look(self) -> None:
        """End what has expired."""
        now = self._clock()
        for key in [key for key in self._buckets if key <= _bucket(now)]:
            for session in [one for one in self._buckets[key] if one.principal.expires_at <= now]:
                self._finish(session, EXPIRED)

    def recheck(self) -> None:
        """End what has been revoked: to be called whenever something was."""
        for session in [one for bucket in self._buckets.values() for one in bucket if self._revoked(one.principal)]:
            self._finish(session, REVOKED)

    def _put(self, session: Session) -> None:
        principal = session.principal
        self._buckets.setdefault(_bucket(principal.expires_at), set()).add(session)
        if principal.expires_at <= self._clock():
            self._finish(session, EXPIRED)
        elif self._revoked(principal):
            self._finish(session, REVOKED)

    def _finish(self, session: Session, reason: str) -> None:
        if self.forget(session):  # else ended by the end of another one, a moment ago
            session.end(reason)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.look()


def _bucket(expires_at: float) -> int:
    return int(min(expires_at, _FURTHEST) // _BUCKET_S)
