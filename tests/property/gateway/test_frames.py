"""Frames we build are the ones websockets would build."""

from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.ws.frames import text_header


@given(st.integers(0, 100_000))
@example(125)
@example(126)
@example(65_535)
@example(65_536)
def test_a_header_and_its_text_are_a_whole_frame(length: int) -> None:
    data = b"x" * length
    assert text_header(length) + data == Frame(Opcode.TEXT, data).serialize(mask=False)


@given(st.integers(65_536, 2**63 - 1))
def test_a_long_header_says_its_length_in_eight_bytes(length: int) -> None:
    header = text_header(length)
    assert (header[:2], int.from_bytes(header[2:]), len(header)) == (b"\x81\x7f", length, 10)
