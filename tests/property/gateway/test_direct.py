"""What direct subscribers are written, read as frames, is what each would have been sent by itself."""

from collections.abc import Generator

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from gateway.graphql.direct import DirectOutlet
from gateway.graphql.following import with_cursor
from gateway.graphql.socket_messages import next_of, quoted
from processors.live.shape import Message
from processors.live.turn import Turn
from schema.cursor import Cursor


class Written:
    """Frames in memory; `writable` as told."""

    def __init__(self) -> None:
        self.writable = True
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def sign(place: Cursor) -> str:
    return f"cursor-{place.position}"


def texts(data: bytes) -> list[bytes]:
    """The payloads of the text frames in `data`."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while not _run(reader.at_eof()):
        frame = _run(Frame.parse(reader.read_exact, mask=False))
        assert frame.opcode is Opcode.TEXT
        assert frame.fin
        found.append(bytes(frame.data))
    return found


def _run(steps: Generator[None, None, object]) -> object:
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a frame is cut short")


bodies = st.integers(0, 70_000).map(lambda size: b'{"data":{"x":"' + b"y" * size + b'"}}')
subscribers = st.lists(st.tuples(st.text(min_size=1, max_size=40), st.booleans()), min_size=1, max_size=12)


@given(subscribers, st.lists(bodies, min_size=1, max_size=4), st.integers(0, 11))
def test_each_gets_its_own_messages_in_order(who: list[tuple[str, bool]], made: list[bytes], stalled: int) -> None:
    messages = [Message(body, Cursor(1, number)) for number, body in enumerate(made, 2)]
    turn = Turn([], Cursor(1, 1), messages, sign)
    for number, (name, cursors) in enumerate(who):
        frames = Written()
        frames.writable = number != stalled
        outlet = DirectOutlet(frames, quoted(name), cursors=cursors)  # type: ignore[arg-type]
        assert outlet.send(turn) == outlet.ready() == (number != stalled)
        expected = [
            next_of(quoted(name), with_cursor(body, sign(place)) if cursors else body) for body, place in messages
        ]
        assert texts(frames.data) == (expected if number != stalled else [])
        alone = Written()
        DirectOutlet(alone, quoted(name), cursors=cursors).write(messages, sign)  # type: ignore[arg-type]
        assert texts(alone.data) == expected


def test_a_closed_one_sends_nothing_more() -> None:
    frames = Written()
    outlet = DirectOutlet(frames, quoted("1"), cursors=False)  # type: ignore[arg-type]
    outlet.close()
    assert not outlet.ready()
    assert not outlet.send(Turn([], Cursor(1, 1), [Message(b"{}", Cursor(1, 2))], sign))
    outlet.write([Message(b"{}", Cursor(1, 2))], sign)
    assert frames.data == b""
