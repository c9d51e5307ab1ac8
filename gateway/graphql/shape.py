"""How a compiled subscription's items become messages: one shape for every subscriber of one operation's text."""

from collections.abc import Callable, Sequence

from gateway.graphql.selection import ItemEncoder
from processors.live.items import Delivered, Item
from processors.live.shape import Message, Sign
from resolvers.event import Event
from resolvers.subscription import batch_of, item_of

Write = Callable[[Sequence[Item], Sign, bool], list[Message]]


class OperationShape:
    """The shape of one operation, equal to itself only: a document is compiled once, however many send it.

    `field`: the subscription field that is selected; `encode`: an item of it as a whole response.
    """

    __slots__ = ("_write", "encode")

    def __init__(self, field: str, encode: ItemEncoder) -> None:
        self.encode = encode
        self._write: Write = {"events": self._events, "feed": self._feed, "eventBatches": self._batch}[field]

    def messages(self, items: Sequence[Item], sign: Sign, *, caught_up: bool) -> list[Message]:
        """See `processors.live.shape.Shape`."""
        return self._write(items, sign, caught_up)

    def _events(self, items: Sequence[Item], sign: Sign, _caught_up: bool) -> list[Message]:
        encode = self.encode
        return [
            Message(encode(Event(item.event, item.cursor, sign)), item.cursor)
            for item in items
            if isinstance(item, Delivered)
        ]

    def _feed(self, items: Sequence[Item], sign: Sign, _caught_up: bool) -> list[Message]:
        encode = self.encode
        return [Message(encode(item_of(item, sign)), item.cursor) for item in items]

    def _batch(self, items: Sequence[Item], sign: Sign, caught_up: bool) -> list[Message]:
        return [Message(self.encode(batch_of(items, sign, caught_up)), items[-1].cursor)]
