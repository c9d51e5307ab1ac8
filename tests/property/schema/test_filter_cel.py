"""Expressions against the Rust implementation of CEL, on the subset both have."""

from typing import Any

import cel
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.event import Event
from schema.filter.evaluate import evaluate
from schema.filter.expression import parse_expression
from schema.filter.failure import ExpressionError, Failure
from schema.filter.python import compile_filter
from schema.filter.typed import parse_filter
from tests.property.schema.filtering import payload_event

# Every key has one type, so that nothing compares across types (where CEL fails and we say false); each may be missing.
WHOLE, REAL, TEXT, YES, WHOLES, TEXTS, MAP = "whole", "real", "text", "yes", "wholes", "texts", "map"
wholes = st.one_of(st.integers(-5, 5), st.sampled_from([2**53 + 1, 2**63 - 1]))
reals = st.sampled_from([0.0, -0.0, 0.5, 1.0, -2.5, 1e10, 0.1])
texts = st.sampled_from(["", "a", "ab", "b", "é", "\U0001f600", "a'\"\\", "\n", "12", "-7"])
payloads = st.fixed_dictionaries(
    {},
    optional={
        WHOLE: wholes,
        REAL: reals,
        TEXT: texts,
        YES: st.booleans(),
        WHOLES: st.lists(st.integers(-2, 2), max_size=3),
        TEXTS: st.lists(texts, max_size=2),
        MAP: st.dictionaries(st.sampled_from(["k", "a"]), st.integers(-2, 2), max_size=2),
    },
)


def literal(value: Any) -> str:
    if isinstance(value, float):
        return f"({value!r})"
    return msgspec.json.encode(value).decode()


def path(key: str) -> st.SearchStrategy[str]:
    return st.sampled_from([f"event.payload.{key}", f'event.payload["{key}"]'])


def nested(base: st.SearchStrategy[str], extend: Any) -> st.SearchStrategy[str]:
    return st.recursive(base, extend, max_leaves=3)


text_values = nested(
    st.one_of(path(TEXT), texts.map(literal), st.just("event.event_type"), st.just(f"event.payload.{TEXTS}[0]")),
    lambda inner: st.builds("({} + {})".format, inner, inner),
)
whole_values = nested(
    st.one_of(
        path(WHOLE),
        st.integers(-5, 5).map(str),
        st.just(f"event.payload.{WHOLES}[1]"),
        st.just(f"event.payload.{MAP}.k"),
        st.builds("size({})".format, st.one_of(path(TEXTS), path(WHOLES), path(MAP))),  # of texts it counts bytes
        st.builds("int({})".format, st.one_of(path(TEXT), path(REAL))),
    ),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/%"), inner), st.builds("-({})".format, inner)
    ),
)
real_values = nested(
    st.one_of(path(REAL), reals.map(literal), st.builds("double({})".format, path(WHOLE))),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
)
COMPARED = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
numbers = st.one_of(whole_values, real_values)
simple = st.one_of(
    path(YES),
    st.sampled_from(["true", "false"]),
    st.builds("({} {} {})".format, numbers, COMPARED, numbers),
    st.builds("({} {} {})".format, text_values, COMPARED, text_values),
    st.builds(
        "({} {} {})".format, st.one_of(numbers, text_values), st.sampled_from(["==", "!="]), path(WHOLES) | path(MAP)
    ),
    st.builds("{}.{}({})".format, text_values, st.sampled_from(["startsWith", "endsWith", "contains"]), text_values),
    st.builds("({} in {})".format, whole_values, st.one_of(path(WHOLES), st.just("[1, 2, 3]"), st.just("[]"))),
    st.builds("({} in {})".format, text_values, st.one_of(path(TEXTS), path(MAP), st.just('["a", "b"]'))),
    st.builds("has(event.payload.{})".format, st.sampled_from([WHOLE, REAL, TEXT, MAP])),
    st.just('timestamp("2026-01-01T00:00:00Z") < timestamp("2026-01-01T00:00:00.5+00:30")'),
)
conditions = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.builds("!({})".format, inner),
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {} || {})".format, inner, inner, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=5,
)
values = st.one_of(conditions, conditions, whole_values, real_values, text_values)


def event_of(payload: Any) -> Event:
    return payload_event(msgspec.json.encode(payload).decode())


FAILURES = {
    KeyError: Failure.MISSING_PATH,
    IndexError: Failure.MISSING_PATH,
    ZeroDivisionError: Failure.DIVISION_BY_ZERO,
    OverflowError: Failure.OVERFLOW,
    RuntimeError: Failure.BAD_CONVERSION,
}


def of_cel(text: str, payload: Any) -> Any:
    """CEL's value, or the kind its failure has with us."""
    try:
        return cel.evaluate(text, {"event": {"event_type": "order.created", "payload": payload}})
    except tuple(FAILURES) as failure:
        return FAILURES[type(failure)]


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(whole_values, real_values, text_values), payload=payloads)
def test_values_and_failures_are_those_of_cel(text: str, payload: Any) -> None:
    expected = of_cel(text, payload)
    try:
        got: Any = evaluate(parse_expression(text), {"event": event_of(payload)})
    except ExpressionError as failure:
        got = failure.kind
    assert type(got) is type(expected)
    # Of several failures in one expression either may be told.
    assert isinstance(got, Failure) or got == expected


@settings(max_examples=300, deadline=None)
@given(text=conditions, payload=payloads)
def test_a_filter_matches_where_cel_says_true(text: str, payload: Any) -> None:
    expected, event = of_cel(text, payload), event_of(payload)
    assert compile_filter(parse_filter({"expression": text}))(event) is (expected is True)
    try:
        got = evaluate(parse_expression(text), {"event": event})
    except ExpressionError as failure:
        got = failure.kind
    assert got is expected or (isinstance(got, Failure) and isinstance(expected, Failure))
