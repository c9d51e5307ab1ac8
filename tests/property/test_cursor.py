"""Cursors survive the round trip, and nothing but our own text of the same tenant is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.cursor import Cursor, CursorCodec, CursorInvalid, PageCursor
from schema.errors import ErrorCode, EsbError

CODEC = CursorCodec(b"k" * 32)

offsets = st.integers(-1, 2**42)
cursors = st.builds(
    Cursor,
    st.integers(1, 2**31),
    st.integers(1, 2**53 - 1),
    st.integers(0, 2**44),
    st.lists(st.tuples(st.integers(1, 2**31), st.lists(offsets, max_size=16).map(tuple)), max_size=3).map(tuple),
    st.lists(
        st.tuples(st.integers(1, 2**31), st.from_regex(r"[0-9]{1,13}-[0-9]{1,3}", fullmatch=True)), max_size=1
    ).map(tuple),
)
tenants = st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True)


@given(tenants, cursors)
def test_round_trip_within_512_characters(tenant, cursor):
    text = CODEC.encode(tenant, cursor)
    assert len(text) <= 512
    assert CODEC.decode(tenant, text) == cursor


@given(tenants, tenants, cursors)
def test_another_tenant_is_refused(tenant, other, cursor):
    text = CODEC.encode(tenant, cursor)
    if tenant != other:
        with pytest.raises(CursorInvalid):
            CODEC.decode(other, text)


@given(cursors, st.data())
def test_every_change_of_a_character_is_refused(cursor, data):
    text = CODEC.encode("a", cursor)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
    changed = text[:at] + letter + text[at + 1 :]
    if changed != text:
        try:
            assert CODEC.decode("a", changed) == cursor  # only the unused bits at the very end may differ
            assert at == len(text) - 1
        except CursorInvalid:
            pass


@given(st.text(max_size=600))
def test_any_text_is_refused_with_its_code_and_nothing_else(text):
    for decode in (CODEC.decode, CODEC.decode_page):
        with pytest.raises(CursorInvalid) as refused:
            decode("a", text)
        assert refused.value.code is ErrorCode.CURSOR_INVALID


@given(
    st.integers(1, 9),
    st.integers(1, 2**53),
    st.lists(st.integers(0, 2**53) | st.text(max_size=9), max_size=4).map(tuple),
)
def test_page_cursors_are_not_cursors(epoch, as_of, last):
    page = PageCursor(epoch, as_of, last)
    text = CODEC.encode_page("a", page)
    assert CODEC.decode_page("a", text) == page
    with pytest.raises(CursorInvalid):
        CODEC.decode("a", text)


def test_more_partitions_than_fit_are_too_complex():
    fits = Cursor(1, 2**53 - 1, 2**44, ((7, (2**42,) * 48),))
    assert len(CODEC.encode("a", fits)) <= 512
    with pytest.raises(EsbError) as refused:
        CODEC.encode("a", Cursor(1, 1, 0, ((7, (1,) * 49),)))
    assert refused.value.code is ErrorCode.TOO_COMPLEX
