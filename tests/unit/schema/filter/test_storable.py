import pytest

from schema.filter.storable import MAX_NESTING, document_problem


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1e308, "b": 5e-324, "c": 0e-999, "d": "1e999"}',
        rb'{"a": "\\u0000"}',
        b'{"id": "12e345"}',
        b'{"long": ' + b"1" * 300 + b"}",
        b"[" * MAX_NESTING + b"]" * MAX_NESTING,
        '"é"'.encode(),
    ],
)
def test_kept(raw: bytes) -> None:
    assert document_problem(raw) is None


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b'{"a": 1e309}', "range"),
        (b'{"a": -1e400 }', "range"),
        (b"1e-400", "range"),
        (b"[1e-16384]", "range"),
        (b'{"a": ' + b"9" * 310 + b"}", "range"),
        (b"[0." + b"0" * 400 + b"1]", "range"),
        (rb'{"a": ["x\u0000"]}', "U+0000"),
        (rb'{"\u0000": 1}', "U+0000"),
        (b'"\xff"', "UTF-8"),
        (b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1), "nested"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
    ],
)
def test_refused(raw: bytes, problem: str) -> None:
    found = document_problem(raw)
    assert found is not None
    assert problem in found
