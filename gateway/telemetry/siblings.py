"""The metrics of all workers of a gateway, whichever of them is asked: each sample says which worker it is of.

Every worker listens on an address of its own on loopback, which outlives it: the supervisor holds the sockets. A worker
that does not answer within a second is left out, as a machine that is down would be.
"""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Protocol

_ANSWER_S = 1.0


class Own(Protocol):
    """This worker's metrics."""

    async def scraped(self) -> bytes:
        """In Prometheus's text format."""


class Siblings:
    """Asks all workers. `listeners`: theirs, by number. `own`: the metrics of this one, `number`."""

    def __init__(self, number: int, listeners: Sequence[socket.socket], own: Own) -> None:
        self._number = number
        self._listener = listeners[number]
        self._addresses = [listener.getsockname() for listener in listeners]
        self._own = own
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to answer the others."""
        self._server = await asyncio.start_server(self._answer, sock=self._listener)

    async def stop(self) -> None:
        """Stop. May be called twice."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def scraped(self) -> bytes:
        """The metrics of all workers that answer, in Prometheus's text format."""
        return merged(await asyncio.gather(*(self._ask(number) for number in range(len(self._addresses)))))

    async def _ask(self, number: int) -> bytes:
        if number == self._number:
            return await self._own.scraped()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_connection(*self._addresses[number])
                try:
                    return await reader.read(-1)
                finally:
                    writer.close()
        return b""

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                writer.write(await self._own.scraped())
                await writer.drain()
        writer.close()


def merged(expositions: Sequence[bytes]) -> bytes:
    """One page of many: each family once, its samples labelled with the worker's number, which is their place here."""
    families: dict[bytes, list[bytes]] = {}
    for number, exposition in enumerate(expositions):
        samples: list[bytes] = []
        for line in exposition.splitlines():
            if line.startswith(b"# HELP "):
                samples = families.setdefault(line.split(b" ", 3)[2], [])
                if samples:
                    continue
            if not line.startswith(b"#"):
                samples.append(_labelled(line, number))
            elif line not in samples:
                samples.append(line)
    return b"".join(line + b"\n" for lines in families.values() for line in lines)


def _labelled(sample: bytes, number: int) -> bytes:
    label = b'{worker="%d"' % number
    name, brace, rest = sample.partition(b"{")
    if brace:
        return name + label + b"," + rest
    name, _, rest = sample.partition(b" ")
    return name + label + b"} " + rest
