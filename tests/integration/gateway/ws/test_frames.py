"""Frames past ASGI on real sockets: in order, gathered, bounded, and never where a close is."""

import asyncio
import socket

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from websockets.asyncio.client import connect
from websockets.frames import Opcode

from gateway.ws.frames import EXTENSION, HIGH_WATER_BYTES, text_header
from tests.integration.gateway.ws.conftest import WITHIN_S, Client, Running, Session

CHUNK = b"x" * 40_000
DATA_SEGMENTS_OUT = slice(156, 160)  # of struct tcp_info


def frame(data: bytes) -> bytes:
    return text_header(len(data)) + data


def fill(session: Session) -> int:
    """Write until the peer, which does not read, has stopped us; how many messages that took."""
    written = 0
    while session.frames.writable:
        session.frames.write(frame(CHUNK))
        written += 1
    return written


async def drained(client: Client, written: int) -> None:
    assert set(await client.texts(written)) == {CHUNK}


def segments(session: Session) -> int:
    """How many TCP segments with data the server's side has sent: each write(2) of a small message makes one."""
    connection = session.frames._transport.get_extra_info("socket")
    info: bytes = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int.from_bytes(info[DATA_SEGMENTS_OUT], "little")


async def test_frames_and_sends_arrive_in_the_order_they_were_given(running: Running) -> None:
    client, session = await running.open()
    for number in range(0, 90, 3):
        session.frames.write(frame(b"%d" % number))
        await session.say(f"{number + 1}")
        session.frames.write(frame(b"%d" % (number + 2)))
    assert await client.texts(90) == [b"%d" % number for number in range(90)]


async def test_what_is_given_in_one_turn_leaves_in_one_write(running: Running) -> None:
    client, session = await running.open()
    before = segments(session)
    for number in range(10):
        session.frames.write(frame(b"%d" % number))
    await client.texts(10)
    assert segments(session) - before == 1


async def test_a_client_of_every_day_reads_them_and_closes(running: Running) -> None:
    async with connect(running.url, compression=None, max_size=None) as client:
        session = await running.application.session()
        sizes = (0, 1, 125, 126, 65_535, 65_536, 1_000_000)
        for size in sizes:
            session.frames.write(frame(b"x" * size))
        assert [len(await client.recv()) for _ in sizes] == list(sizes)
        await (await client.ping())
        await session.send({"type": "websocket.close", "code": 4403, "reason": "enough"})
        await client.wait_closed()
    assert (client.close_code, client.close_reason) == (4403, "enough")


async def test_one_turn_cannot_write_without_bound(running: Running) -> None:
    client, session = await running.open(receive_buffer=4096)
    written = fill(session)
    transport = session.frames._transport
    assert HIGH_WATER_BYTES < transport.get_write_buffer_size() < HIGH_WATER_BYTES + 2 * len(CHUNK)
    resumed = asyncio.Event()
    session.frames.on_writable = resumed.set
    await drained(client, written)
    await asyncio.wait_for(resumed.wait(), WITHIN_S)
    assert session.frames.writable
    session.frames.write(frame(b"again"))
    assert await client.texts(1) == [b"again"]


async def test_it_is_said_each_time_writing_becomes_possible_again(running: Running) -> None:
    client, session = await running.open(receive_buffer=4096)
    for _ in range(3):
        resumed = asyncio.Event()
        session.frames.on_writable = resumed.set
        written = fill(session)
        await drained(client, written)
        await asyncio.wait_for(resumed.wait(), WITHIN_S)


async def test_a_send_that_waits_goes_before_frames_written_when_the_peer_reads_again(running: Running) -> None:
    client, session = await running.open(receive_buffer=4096)
    written = fill(session)
    session.frames.on_writable = lambda: session.frames.write(frame(b"frame"))
    long = "x" * 10 * HIGH_WATER_BYTES
    sends = [asyncio.create_task(session.say(f"{number}{long}")) for number in range(3)]
    await asyncio.sleep(0)
    assert not any(send.done() for send in sends)
    await drained(client, written)
    assert [text[:5] for text in await client.texts(4)] == [b"0xxxx", b"1xxxx", b"2xxxx", b"frame"]
    await asyncio.gather(*sends)


async def test_a_send_that_waits_ends_with_the_connection(running: Running) -> None:
    client, session = await running.open(receive_buffer=4096)
    fill(session)
    sending = asyncio.create_task(session.say("last"))
    await asyncio.sleep(0)
    client.reset()
    with pytest.raises(ClientDisconnected):
        await asyncio.wait_for(sending, WITHIN_S)


async def test_nothing_is_written_before_the_handshake_is_answered(running: Running) -> None:
    running.application.accepts = False
    client = await running.connect()
    await client.upgrade(answered=False)
    session = await running.application.session()
    assert not session.frames.writable
    session.frames.write(frame(b"early"))
    await asyncio.sleep(0)
    await session.send({"type": "websocket.accept"})
    assert session.frames.writable
    session.frames.write(frame(b"in time"))
    assert await client.status() == 101
    assert await client.texts(1) == [b"in time"]


async def test_nothing_is_written_after_our_close(running: Running) -> None:
    client, session = await running.open()
    session.frames.write(frame(b"before"))
    await session.send({"type": "websocket.close", "code": 4400})
    assert not session.frames.writable
    session.frames.write(frame(b"after"))
    assert await client.texts(1) == [b"before"]
    await client.say(Opcode.CLOSE, (4400).to_bytes(2))
    assert await client.closed() == 4400


async def test_nothing_is_written_after_the_peers_close(running: Running) -> None:
    client, session = await running.open()
    await client.say(Opcode.CLOSE, (1000).to_bytes(2))
    assert (await session.said())["type"] == "websocket.disconnect"
    assert not session.frames.writable
    session.frames.write(frame(b"after"))
    assert await client.closed() == 1000


async def test_frames_given_in_the_turn_in_which_the_application_ends_are_not_written(running: Running) -> None:
    client, session = await running.open()
    await client.say(Opcode.CLOSE)
    await asyncio.wait_for(session.ended.wait(), WITHIN_S)
    session.frames.write(frame(b"after"))
    assert await client.closed() == 0
    await running.emptied()


async def test_what_was_given_in_a_turn_is_not_written_after_a_close_that_comes_within_it(running: Running) -> None:
    client, session = await running.open()
    for number in range(2):
        session.frames.write(frame(b"%d" % number))
    session.frames.end()
    session.frames.flush()
    await asyncio.sleep(0)
    await session.send({"type": "websocket.close", "code": 4400})
    await client.say(Opcode.CLOSE, (4400).to_bytes(2))
    assert await client.closed() == 4400, "and nothing before it"


async def test_a_reset_ends_them_even_while_they_wait(running: Running) -> None:
    for stalled in (False, True):
        client, session = await running.open(receive_buffer=4096)
        called: list[bool] = []
        if stalled:
            fill(session)
        session.frames.on_writable = lambda called=called: called.append(True)  # type: ignore[misc]
        client.reset()
        assert (await session.said())["type"] == "websocket.disconnect"
        assert not session.frames.writable
        session.frames.write(frame(b"after"))
        await running.emptied()
        assert called == []


async def test_a_peer_may_close_while_frames_wait_and_still_gets_them(running: Running) -> None:
    client, session = await running.open(receive_buffer=4096)
    written = fill(session)
    await client.say(Opcode.CLOSE, (1001).to_bytes(2))
    await session.said()
    session.frames.write(frame(b"after"))
    await drained(client, written)
    assert await client.closed() == 1001


async def test_the_scope_names_the_extension(running: Running) -> None:
    _, session = await running.open()
    assert session.scope["extensions"].keys() == {"websocket.http.response", EXTENSION}
