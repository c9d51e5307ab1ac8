"""RFC 6455 on real sockets: what the server keeps to, and what it does with a peer that does not."""

import asyncio

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from websockets.frames import Frame, Opcode

from gateway.ws import protocol
from gateway.ws.frames import text_header
from tests.integration.gateway.ws.conftest import MESSAGE_BYTES, WITHIN_S, Running, started
from tests.integration.gateway.ws.test_frames import drained, fill

TEXT, BINARY, CONT, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CONT,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)


def masked(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def altered(frame: bytes, **bits: int) -> bytes:
    """The frame with bits of its first two bytes turned."""
    return bytes((frame[0] ^ bits.get("first", 0), frame[1] ^ bits.get("second", 0))) + frame[2:]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (Frame(TEXT, b"unmasked").serialize(mask=False), 1002),
        (masked(CONT, b"of nothing"), 1002),
        (masked(TEXT, b"a", fin=False) + masked(TEXT, b"b"), 1002),
        (masked(TEXT, b"a", fin=False) + masked(CLOSE), 1002),
        (altered(masked(TEXT, b"reserved bit"), first=0x40), 1002),
        (altered(masked(TEXT, b"opcode 3"), first=0x02), 1002),
        (altered(masked(PING, b"in parts"), first=0x80), 1002),
        (altered(masked(BINARY, b"x" * 126), first=PING ^ BINARY), 1002),
        (masked(CLOSE, b"x"), 1002),
        (masked(CLOSE, (999).to_bytes(2)), 1002),
        (masked(CLOSE, (1000).to_bytes(2) + b"\xff"), 1007),
        (masked(TEXT, b"\xff"), 1007),
        (masked(TEXT, "é".encode()[:1], fin=False) + masked(CONT, b"x"), 1007),
        (masked(TEXT, b"x" * (MESSAGE_BYTES + 1)), 1009),
        (masked(BINARY, b"x" * 20 * MESSAGE_BYTES), 1009),
        (masked(TEXT, b"x" * MESSAGE_BYTES, fin=False) + masked(CONT, b"x"), 1009),
    ],
)
async def test_who_breaks_the_rules_is_told_which(running: Running, said: bytes, code: int) -> None:
    client, session = await running.open()
    sending = asyncio.create_task(client.write(said))
    assert await client.closed() == code
    await sending
    message = await session.said()
    assert (message["type"], message["code"]) == ("websocket.disconnect", code)
    with pytest.raises(ClientDisconnected):
        await session.say("nobody hears it")
    session.frames.write(text_header(1) + b"x")
    client.connection.close()
    await running.emptied()


async def test_a_message_may_come_in_fragments_with_pings_between(running: Running) -> None:
    client, session = await running.open()
    word = "é".encode()
    await client.say(TEXT, b"a" + word[:1], fin=False)
    await client.say(PING, b"still there?")
    await client.say(CONT, b"", fin=False)
    await client.say(CONT, word[1:] + b"b")
    assert await client.frame() == (PONG, b"still there?")
    assert await session.said() == {"type": "websocket.receive", "text": "aéb"}


async def test_ten_thousand_small_fragments_are_one_message(running: Running) -> None:
    client, session = await running.open()
    middle = masked(CONT, b"x", fin=False) * 10_000
    await client.write(masked(BINARY, b"x", fin=False) + middle + masked(CONT))
    assert await session.said() == {"type": "websocket.receive", "bytes": b"x" * 10_001}


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, MESSAGE_BYTES])
async def test_messages_of_every_length_arrive(running: Running, size: int) -> None:
    client, session = await running.open()
    await client.say(TEXT, b"x" * size)
    await client.say(BINARY, b"x" * size)
    assert await session.said() == {"type": "websocket.receive", "text": "x" * size}
    assert await session.said() == {"type": "websocket.receive", "bytes": b"x" * size}


@pytest.mark.parametrize("said", [b"", (1000).to_bytes(2), (4999).to_bytes(2) + b"bye"])
async def test_a_close_is_answered_with_the_same(running: Running, said: bytes) -> None:
    client, session = await running.open()
    await client.say(CLOSE, said)
    assert await client.frame() == (CLOSE, said)
    with pytest.raises(EOFError):
        await client.frame()
    message = await session.said()
    assert (message["type"], message["code"]) == ("websocket.disconnect", int.from_bytes(said[:2]) or 1005)
    await running.emptied()


async def test_our_close_waits_for_the_peers_answer_and_nothing_else_is_heard(running: Running) -> None:
    client, session = await running.open()
    await session.send({"type": "websocket.close", "code": 4401, "reason": "no"})
    assert await client.frame() == (CLOSE, (4401).to_bytes(2) + b"no")
    await client.write(masked(TEXT, b"late") + masked(PING, b"late") + masked(CLOSE, (4401).to_bytes(2)))
    with pytest.raises(EOFError):
        await client.frame()
    assert (await session.said())["type"] == "websocket.disconnect"
    await running.emptied()


async def test_who_talks_before_the_handshake_is_answered_is_hung_up_on(running: Running) -> None:
    running.application.accepts = False
    client = await running.connect()
    await client.upgrade(answered=False)
    session = await running.application.session()
    await client.say(PING, b"hello?")
    with pytest.raises((EOFError, ConnectionResetError)):
        await client.frame()
    assert (await session.said())["type"] == "websocket.disconnect"


async def test_pings_are_answered_at_once_and_in_the_middle_of_frames(running: Running) -> None:
    client, session = await running.open()
    for number in range(50):
        session.frames.write(text_header(4) + b"data")
        await client.say(PING, b"%d" % number)
        got = {await client.frame(), await client.frame()}
        assert got == {(TEXT, b"data"), (PONG, b"%d" % number)}


async def test_answers_to_pings_do_not_pile_up_for_who_does_not_read(running: Running) -> None:
    client, session = await running.open(receive_buffer=4096)
    written = fill(session)
    held = session.frames._transport.get_write_buffer_size()
    for number in range(2000):
        await client.say(PING, b"%d" % number)
    await client.say(TEXT, b"that was all")
    await session.said()
    assert session.frames._transport.get_write_buffer_size() <= held
    await drained(client, written)
    assert await client.frame() == (PONG, b"1999")


async def test_who_answers_pings_stays() -> None:
    async with started(ws_ping_interval=0.02, ws_ping_timeout=60.0) as running:
        client, session = await running.open()
        seen = set()
        for _ in range(5):
            opcode, data = await client.frame()
            assert opcode is PING
            seen.add(data)
            await client.say(PONG, data)
        await session.say("still here")
        while (frame := await client.frame())[0] is PING:
            await client.say(PONG, frame[1])
        assert frame == (TEXT, b"still here")
        assert len(seen) == 5


@pytest.mark.parametrize("stalled", [False, True])
async def test_who_answers_no_pings_is_cut_off(stalled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_S", 0.1)
    async with started(ws_ping_interval=0.02, ws_ping_timeout=0.02) as running:
        client, session = await running.open(receive_buffer=4096)
        if stalled:
            fill(session)
        else:
            frame = await client.frame()
            while frame[0] is PING:
                frame = await client.frame()
            assert frame == (CLOSE, (1011).to_bytes(2) + b"keepalive ping timeout")
        assert (await session.said())["type"] == "websocket.disconnect"
        assert not session.frames.writable
        await running.emptied()


async def test_draining_tells_all_even_beside_one_that_closed_and_does_not_read(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "LINGER_S", 0.1)
    stalled, its = await running.open(receive_buffer=4096)
    fill(its)
    await stalled.say(CLOSE)
    await its.said()
    client, session = await running.open()
    session.frames.write(text_header(4) + b"last")
    running.server.should_exit = True
    assert await client.frame() == (TEXT, b"last")
    assert await client.closed() == 1012
    assert (await session.said())["code"] == 1012
    await running.emptied()


async def test_a_close_that_is_not_answered_ends_all_the_same(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "CLOSE_TIMEOUT_S", 0.1)
    client, session = await running.open()
    await session.send({"type": "websocket.close", "code": 4400})
    assert await client.closed() == 4400


async def test_what_the_application_has_not_heard_is_bounded(running: Running) -> None:
    running.application.hears.clear()
    client, session = await running.open()
    sending = asyncio.create_task(client.write(masked(TEXT, b"x" * 1000) * 20_000))
    async with asyncio.timeout(WITHIN_S):
        while session.frames._transport.is_reading():  # noqa: ASYNC110 - a transport tells nobody
            await asyncio.sleep(0.01)
    assert not sending.done()
    running.application.hears.set()
    for _ in range(20_000):
        assert (await session.said())["type"] == "websocket.receive"
    await sending


async def test_a_peer_that_was_not_heard_can_still_close(running: Running) -> None:
    running.application.hears.clear()
    client, session = await running.open()
    await client.write(masked(TEXT, b"x" * MESSAGE_BYTES) * 2)
    async with asyncio.timeout(WITHIN_S):
        while session.frames._transport.is_reading():  # noqa: ASYNC110 - a transport tells nobody
            await asyncio.sleep(0.01)
    await session.send({"type": "websocket.close", "code": 4429})
    await client.say(CLOSE, (4429).to_bytes(2))
    assert await client.closed() == 4429
    running.application.hears.set()
    assert (await session.said())["type"] == "websocket.receive"
    await asyncio.wait_for(session.ended.wait(), WITHIN_S)


async def test_after_the_end_the_application_hears_of_nothing_else(running: Running) -> None:
    client, session = await running.open()
    await client.say(CLOSE, (1001).to_bytes(2))
    last = await session.said()
    assert await session.receive() == await session.receive() == last
    await session.send({"type": "websocket.close"})  # too late, and no mistake
    with pytest.raises(ClientDisconnected):
        await session.say("nobody hears it")
