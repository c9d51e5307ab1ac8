"""Connections that wait to be accepted, on both loops: one at a time, and everything else in between."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import cast

import pytest

from gateway import accept
from gateway.accept import Listener
from processors.live.pacer import REST_TURNS, Pacer

CROWD = 50
WITHIN_S = 10.0


class Noting(asyncio.Protocol):
    """Notes in a log that it was made and has ended, and answers what it hears."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._log.append("accepted")
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._log.append("gone")

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


@asynccontextmanager
async def listening(log: list[str], waiting: int) -> AsyncIterator[tuple[Listener, list[socket.socket]]]:
    """A listener that is not started yet, and clients whose connections wait for it."""
    bound = socket.create_server(("127.0.0.1", 0), backlog=2 * CROWD)
    listener = Listener(bound, lambda: Noting(log), Pacer(), backlog=2 * CROWD)
    clients = [socket.create_connection(bound.getsockname()) for _ in range(waiting)]
    try:
        yield listener, clients
    finally:
        for client in clients:
            client.close()
        listener.close()
        await listener.wait_closed()
        async with asyncio.timeout(WITHIN_S):
            while log.count("gone") < log.count("accepted"):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)


async def until_accepted(log: list[str], count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while log.count("accepted") < count:
            log.append("live")
            await asyncio.sleep(0)


async def test_a_crowd_is_accepted_one_by_one_with_everything_else_in_between() -> None:
    log: list[str] = []
    async with listening(log, CROWD) as (listener, clients):
        listener.start()
        await until_accepted(log, CROWD)
        places = [place for place, what in enumerate(log) if what == "accepted"]
        between = [later - earlier - 1 for earlier, later in pairwise(places)]
        assert min(between) >= REST_TURNS
        loop = asyncio.get_running_loop()
        for client in clients:
            client.setblocking(False)
            await loop.sock_sendall(client, b"hello")
            assert await asyncio.wait_for(loop.sock_recv(client, 5), WITHIN_S) == b"hello"


async def test_once_closed_nobody_is_accepted_and_who_waited_hears_of_it() -> None:
    log: list[str] = []
    async with listening(log, CROWD) as (listener, clients):
        listener.start()
        await until_accepted(log, 1)
        listener.close()
        await listener.wait_closed()
        assert log.count("accepted") < CROWD
        accepted = log.count("accepted")
        for client in clients[accepted + 1 :]:  # one more may have been about to be accepted
            client.settimeout(WITHIN_S)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
        assert log.count("accepted") == accepted


async def test_without_file_descriptors_it_tries_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accept, "RETRY_S", 0.001)
    log: list[str] = []
    async with listening(log, 1) as (listener, _):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
        try:
            # every number below the limit is taken
            taken = []
            while True:
                try:
                    taken.append(os.dup(0))
                except OSError:
                    break
            listener.start()
            async with asyncio.timeout(WITHIN_S):
                while "no connection can be accepted" not in caplog.text:  # noqa: ASYNC110 - a log tells nobody
                    await asyncio.sleep(0.001)
        finally:
            for number in taken:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until_accepted(log, 1)
