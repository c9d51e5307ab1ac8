"""The content hash must agree with RFC 8785 on what is the same document, whatever the spelling."""

import json

import msgspec
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from processors.admission.canonical import ContentHash, canonical
from schema.input import EventInput

EXACT = 2**53

numbers = st.one_of(
    st.integers(1 - EXACT, EXACT - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-1000, 1000).map(float),
    st.sampled_from([-0.0, 0.0, 1e21, 1e22, 1e-7, 5e-324, float(EXACT - 1)]),
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts, st.just("1.0e5")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def said(raw: bytes) -> EventInput:
    return EventInput(event_type="a.b", payload=msgspec.Raw(raw))


def ours(raw: bytes) -> bytes:
    return canonical(json.loads(raw))


@given(documents, documents)
def test_two_documents_are_one_exactly_where_rfc_8785_says_so(one, other):
    a, b = json.dumps(one).encode(), json.dumps(other).encode()
    assert (ours(a) == ours(b)) == (rfc8785.dumps(one) == rfc8785.dumps(other))


@given(documents, st.sampled_from([None, 1, 4]), st.booleans())
def test_spelling_does_not_matter(document, indent, ascii_only):
    plain = json.dumps(document).encode()
    other = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    assert ours(plain) == ours(other)


@given(st.integers(-EXACT + 1, EXACT - 1))
def test_a_whole_number_is_the_same_in_every_spelling(number):
    spellings = [f"{number}", f"{number}.0", f"{number}e0", f"{number}.00E+0"]
    assert len({ours(f'{{"x":{text}}}'.encode()) for text in spellings}) == 1


@given(documents, documents)
def test_the_hash_covers_payload_metadata_and_key(payload, metadata):
    hashes, other = ContentHash(b"k" * 32), ContentHash(b"l" * 32)
    one = hashes.of(said(b"0"), payload, {"m": metadata})
    assert one == hashes.of(said(b"0"), payload, {"m": metadata})
    assert one != other.of(said(b"0"), payload, {"m": metadata})
    assert one != hashes.of(said(b"0"), [payload], {"m": metadata})
    assert -(2**63) <= one < 2**63
