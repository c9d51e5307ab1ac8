"""How a subscriber is told: the form its messages have, and how long events wait to share one."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from processors.live.items import Item
from schema.cursor import Cursor

Sign = Callable[[Cursor], str]
"""A place as the text its tenant's clients hold."""


class Message(NamedTuple):
    """What a subscriber is sent: one whole result as bytes, and the place after it."""

    body: bytes
    place: Cursor


class Shape(Protocol):
    """How items become messages. Equal shapes make equal messages of equal items."""

    def messages(self, items: Sequence[Item], sign: Sign, *, caught_up: bool) -> list[Message]:
        """The messages of consecutive items. `caught_up`: backfill is over, in these items or before them."""

    def __hash__(self) -> int: ...


class Gather(NamedTuple):
    """How events wait for others to share a message with: at most `max_events`, at most `max_wait_s` seconds."""

    max_events: int
    max_wait_s: float
