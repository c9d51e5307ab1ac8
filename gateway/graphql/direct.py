"""Messages of many subscribers as frames: what all of them share is made once, and each one's id is put in between.

A turn becomes the pieces between the places where the operation's id stands; joining them with the id is all the work
a subscriber costs. The id is part of what the frame's length counts, so subscribers share the pieces with those whose
ids are as long.
"""

from collections.abc import Sequence

from gateway.graphql.following import with_cursor
from gateway.graphql.socket_messages import next_head, next_tail
from gateway.ws.frames import Frames, text_header
from processors.live.shape import Message, Sign
from processors.live.turn import Turn

_KEPT = 8


class DirectOutlet:
    """One operation's way onto its socket. `cursors`: each message carries its own."""

    __slots__ = ("_cursors", "_frames", "_head", "_key")

    def __init__(self, frames: Frames, quoted_id: bytes, *, cursors: bool) -> None:
        self._frames: Frames | None = frames
        self._head = next_head(quoted_id)
        self._cursors = cursors
        self._key = self._head + b"c" if cursors else self._head

    def ready(self) -> bool:
        """See `processors.live.group.Outlet`."""
        return self._frames is not None and self._frames.writable

    def send(self, turn: Turn) -> bool:
        """See `processors.live.group.Outlet`."""
        frames = self._frames
        if frames is None or not frames.writable:
            return False
        data = turn.shared.get(self._key)
        frames.write(self._joined(turn) if data is None else data)
        return True

    def _joined(self, turn: Turn) -> bytes:
        """The frames with this operation's id in them; kept for the next one with the same id, as many clients count
        their operations from 1, but not for each of those who make up ids of their own.
        """
        shared, length = turn.shared, len(self._head)
        key = (length, self._cursors)
        pieces = shared.get(key)
        if pieces is None:
            pieces = shared[key] = self._pieces(turn.messages, turn.sign)
        data = self._head.join(pieces)
        if len(shared) < _KEPT:
            shared[self._key] = data
        return data

    def write(self, messages: Sequence[Message], sign: Sign) -> None:
        """Write messages of this subscriber alone. To be called while `ready`."""
        if self._frames is not None and messages:
            self._frames.write(self._head.join(self._pieces(messages, sign)))

    def close(self) -> None:
        """Send nothing more: the operation is over, and its id may be used again."""
        self._frames = None

    def _pieces(self, messages: Sequence[Message], sign: Sign) -> list[bytes]:
        """What stands before, between and after the places of the id: headers and tails."""
        pieces = [b""]
        for body, place in messages:
            tail = next_tail(with_cursor(body, sign(place)) if self._cursors else body)
            pieces[-1] += text_header(len(self._head) + len(tail))
            pieces.append(tail)
        return pieces
