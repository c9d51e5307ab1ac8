"""What an answer's writer hands to the transport, write by write."""

import asyncio
from typing import cast

import pytest

from gateway.http_protocol import _Gathered

SIZED = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.written.append(b"".join(pieces))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.mark.parametrize(
    ("writes", "leaves"),
    [
        ([SIZED, b"{}"], [SIZED + b"{}"]),
        ([SIZED, b""], [SIZED]),
        ([SIZED, b"{", b"}"], [SIZED + b"{", b"}"]),
        ([CONTINUE, SIZED, b"{}"], [CONTINUE, SIZED + b"{}"]),
        ([STREAM, b"2\r\n{}\r\n"], [STREAM, b"2\r\n{}\r\n"]),
        ([STREAM, SIZED, b"{}"], [STREAM, SIZED, b"{}"]),  # a body that looks like a head
        ([SIZED, SIZED, b"{}"], [SIZED + SIZED, b"{}"]),
    ],
)
def test_a_head_with_a_length_waits_for_the_body_and_nothing_else_waits(writes, leaves):
    transport = Transport()
    answer = _Gathered(cast("asyncio.Transport", transport))
    for data in writes:
        answer.write(data)
    assert transport.written == leaves


def test_a_head_whose_body_never_comes_leaves_before_the_connection_closes():
    transport = Transport()
    answer = _Gathered(cast("asyncio.Transport", transport))
    answer.write(SIZED)
    answer.close()
    assert transport.written == [SIZED]
    assert transport.closed
    assert answer.is_closing()
