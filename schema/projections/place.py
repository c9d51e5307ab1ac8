"""Where a reader of a projection stands: a cursor of the ledger that also knows which version's rows were seen.

The mark lies among the cursor's streams under a number no stream has, so the cursor is good wherever a cursor of the
ledger is: publishing conditions, queries, live events.
"""

from datetime import datetime

from schema.cursor import Cursor

_UNFINISHED = "rows"


def placed(epoch: int, position: int, recorded_at: datetime, version: int, *, unfinished: bool = False) -> Cursor:
    """The place before `position`, in the rows of a version. `unfinished`: its reader has not seen all rows yet, and
    has to see them again."""
    at_ms = int(recorded_at.timestamp() * 1000)
    return Cursor(epoch, position, at_ms, redis=((-version, _UNFINISHED if unfinished else ""),))


def version_of(cursor: Cursor) -> int | None:
    """The version whose rows were seen; None: any, it is a place of the log itself."""
    return next((-key for key, _ in cursor.redis if key < 0), None)


def is_unfinished(cursor: Cursor) -> bool:
    """Whether the reader has to see all rows again."""
    return any(key < 0 and mark == _UNFINISHED for key, mark in cursor.redis)
