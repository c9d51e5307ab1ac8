"""What a log hands out in one go, and what is made of it once for all who want it."""

import time
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from processors.live.items import Delivered, Item
from processors.live.shape import Message, Shape, Sign
from schema.cursor import Cursor


class Turn:
    """Consecutive messages on their way to members of a group.

    `before`: the place before the first of them. `shared`: what outlets made of them once, by keys of their own.
    """

    __slots__ = ("before", "items", "messages", "shared", "sign")

    def __init__(self, items: Sequence[Item], before: Cursor, messages: Sequence[Message], sign: Sign) -> None:
        self.items = items
        self.before = before
        self.messages = messages
        self.sign = sign
        self.shared: dict[Hashable, Any] = {}


class Step:
    """One hand-out of a log: groups that want the same events of it in the same shape share their turn.

    `before`: the log's place before it; `now`: by the monotonic clock; `delivered`: events times members, so far.
    """

    __slots__ = ("_sign", "_turns", "before", "delivered", "now")

    def __init__(self, before: Cursor, sign: Sign) -> None:
        self.before = before
        self.now = time.monotonic()
        self.delivered = 0
        self._sign = sign
        self._turns: dict[Hashable, Turn] = {}

    def turn(self, shape: Shape, items: Sequence[Delivered]) -> Turn:
        """The turn of these events of this hand-out. Raises what the shape raises."""
        key = (shape, *map(id, items))
        turn = self._turns.get(key)
        if turn is None:
            messages = shape.messages(items, self._sign, caught_up=True)
            turn = self._turns[key] = Turn(items, self.before, messages, self._sign)
        return turn


class Outlet(Protocol):
    """Where a subscriber's messages go without waiting."""

    def ready(self) -> bool:
        """Whether it takes messages now."""

    def send(self, turn: Turn) -> bool:
        """Take all messages of a turn; False: it takes none now. Never blocks."""
