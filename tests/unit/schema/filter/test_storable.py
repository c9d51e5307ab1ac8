import orjson
import pytest

from schema.filter.storable import MAX_DECIMALS, MAX_NESTING, document_problem


def problem_of(raw: bytes) -> str | None:
    return document_problem(raw, orjson.loads(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1e308, "b": 5e-324, "c": 1e-400, "d": "1e-99999"}',
        rb'{"a": "\\u0000"}',
        b'{"id": "5f3e-1234-1234", "ID": "5F3E-1234"}',
        b"[1e-%d]" % MAX_DECIMALS,
        b"0." + b"1" * MAX_DECIMALS,
        b"[" * MAX_NESTING + b"]" * MAX_NESTING,
        b"[" + b"[1]," * 500 + b'"]]]["]',
        '"é"'.encode(),
    ],
)
def test_kept(raw: bytes) -> None:
    assert problem_of(raw) is None


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"[1e-%d]" % (MAX_DECIMALS + 1), "decimals"),
        (b"1.5E-%d" % MAX_DECIMALS, "decimals"),
        (b'{"a": 0e-99999999999}', "decimals"),
        (b'{"a": 0e-9999999999999999999}', "decimals"),
        (b"[0." + b"1" * (MAX_DECIMALS + 1) + b"]", "decimals"),
        (rb'{"a": ["x\u0000"]}', "U+0000"),
        (rb'{"\u0000": 1}', "U+0000"),
        (b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1), "nested"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "nested"),
    ],
)
def test_refused(raw: bytes, problem: str) -> None:
    assert problem in (problem_of(raw) or "")
