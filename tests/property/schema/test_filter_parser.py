"""Whatever is written: a filter, or BAD_INPUT that says where; never another failure."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.filter.expression import parse_expression
from schema.filter.failure import ExpressionError
from schema.filter.normal import fingerprint
from schema.filter.pattern import TypePattern, literalness, validate_pattern
from schema.filter.python import compile_expression, compile_filter
from schema.filter.sql import compile_sql
from schema.filter.typed import parse_filter
from tests.property.schema.filtering import events, expressions, filters, names, patterns

PIECES = [
    *("event", ".", "event.payload", "event.timestamp", "(", ")", "[", "]", "{", "}", "?", ":", ",", "&&", "||", "!"),
    *(
        "-",
        "+",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        "<=",
        "in",
        "has(",
        "size(",
        "timestamp(",
        ".startsWith(",
        "true",
        "null",
    ),
    *(
        "null",
        "1",
        "1.5",
        "1e999",
        "99999999999999999999",
        "0x1f",
        "'a'",
        '"b"',
        "'\\u0000'",
        "'\\ud800'",
        "'",
        '"',
        "\\",
    ),
    *("#", "state", "\n", "é", "\0", "="),
]


def spliced(text: str, at: int, extra: str) -> str:
    return text[:at] + extra + text[at:]


def bad_input(error: EsbError) -> None:
    assert error.code is ErrorCode.BAD_INPUT, error
    assert error.message


def at_a_path(error: EsbError) -> None:
    bad_input(error)
    assert error.details
    assert str(error.details["path"]).startswith("where"), error


texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.builds(
        lambda text, at, extra: text[:at] + extra + text[at:], expressions, st.integers(0, 40), st.text(max_size=2)
    ),
)


@settings(max_examples=300, deadline=None)
@given(text=texts, event=events())
@example("(" * 4000, None)
@example("!" * 4000, None)
@example("-" * 4000 + "1", None)
@example("[" * 4000, None)
@example("event.payload" + "[event.payload" * 200 + "]" * 200, None)
@example("1" + " + 1" * 900, None)
@example("a" * 5000, None)
@example("9" * 4000, None)
@example("event.payload" + ".a" * 1000, None)
def test_an_expression_parses_or_says_what_is_wrong(text: str, event: Event | None) -> None:
    try:
        expression = parse_expression(text)
        where = parse_filter({"expression": text})
    except EsbError as error:
        bad_input(error)
        return
    if event is None:
        return
    assert compile_filter(where)(event) in (True, False)
    compile_sql(where, [])
    try:
        compile_expression(expression)({"event": event})
    except ExpressionError as error:
        bad_input(error)


WORDS = ["and", "or", "not", "eventType", "payload", "path", "eq", "in", "gt", "pattern", "exists", "expression", "a"]
anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.just(datetime(2026, 1, 1, tzinfo=UTC)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "and",
                    "or",
                    "not",
                    "eventType",
                    "payload",
                    "path",
                    "eq",
                    "in",
                    "gt",
                    "pattern",
                    "exists",
                    "expression",
                    "timestamp",
                    "a",
                ]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)
KEYS = ["and", "or", "not", "eventType", "sequenceNumber", "timestamp", "payload", "expression", "typo", "event_type"]


@settings(max_examples=300, deadline=None)
@given(document=st.one_of(anything, st.dictionaries(st.sampled_from(KEYS), st.one_of(anything, filters), max_size=3)))
def test_a_document_parses_or_says_what_is_wrong(document: Any) -> None:
    try:
        where = parse_filter(document)
    except EsbError as error:
        at_a_path(error)
        return
    compile_filter(where)
    compile_sql(where, [])
    assert len(fingerprint(where)) == 16


@pytest.mark.parametrize("depth", [17, 1000, 100_000])
def test_deep_nesting_is_refused_without_deep_recursion(depth: int) -> None:
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"not": document}
    with pytest.raises(EsbError, match="nested"):
        parse_filter(document)


def segments_match(pattern: list[str], name: list[str]) -> bool:
    """What a pattern means, said in the simplest way."""
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(segments_match(pattern[1:], name[start:]) for start in range(len(name) + 1))
    return bool(name) and pattern[0] in ("*", name[0]) and segments_match(pattern[1:], name[1:])


@settings(max_examples=300, deadline=None)
@given(pattern=patterns, name=names)
def test_patterns_match_by_segments(pattern: str, name: str) -> None:
    assert TypePattern(pattern).matches(name) == segments_match(pattern.split("."), name.split("."))
    assert (literalness(pattern)[0] == 1) == ("*" not in pattern)


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="a.*\0 é\n", max_size=8))
def test_any_text_is_a_pattern_or_bad_input(text: str) -> None:
    try:
        validate_pattern(text)
    except EsbError as error:
        bad_input(error)
