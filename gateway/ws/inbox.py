"""What a socket's peer has said and its application has not heard yet."""

import asyncio
from typing import Any, Final

READ_AHEAD_BYTES: Final = 65_536

Message = dict[str, Any]


class Inbox:
    """ASGI's `receive` for one application. Over `READ_AHEAD_BYTES` unheard nothing more is read from the peer."""

    __slots__ = ("_last", "_messages", "_paused", "_reader", "_transport", "_unheard_bytes")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._messages: list[Message] = []
        self._unheard_bytes = 0
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._last: Message | None = None

    def put(self, message: Message, size: int = 0) -> None:
        """A message of so many bytes has come."""
        self._messages.append(message)
        self._unheard_bytes += size
        if self._unheard_bytes > READ_AHEAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def end(self, code: int, reason: str = "") -> None:
        """Nothing more will come; the first reason counts. What the peer still says is read, for its close."""
        if self._last is None:
            self._last = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._read_on()
        self._wake()

    async def receive(self) -> Message:
        """The next message; after the last, that the peer is gone, again and again."""
        while not self._messages:
            if self._last is not None:
                return self._last
            if self._reader is not None:
                raise RuntimeError("one task at a time may receive")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._messages.pop(0)
        if not self._messages:
            self._unheard_bytes = 0
            self._read_on()
        return message

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
