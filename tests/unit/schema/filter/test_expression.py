import operator
from typing import Any

import pytest

from schema.errors import ErrorCode, EsbError
from schema.filter.evaluate import evaluate
from schema.filter.expression import parse_expression
from schema.filter.failure import ExpressionError, Failure
from schema.filter.python import compile_expression, compile_filter
from schema.filter.typed import parse_filter
from tests.unit.schema.filter.test_typed import event

PAYLOAD = {
    "n": 7,
    "zero": 0,
    "price": 2.5,
    "name": "ann",
    "tags": ["vip", "new"],
    "nothing": None,
    "a b": {"c": 1},
    "big": 2**62,
}


def value(text: str) -> Any:
    return evaluate(parse_expression(text), {"event": event(PAYLOAD)})


def holds(text: str) -> bool:
    return compile_filter(parse_filter({"expression": text}))(event(PAYLOAD))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event.payload.n / 2", 3),
        ("-event.payload.n / 2", -3),
        ("-event.payload.n % 4", -3),
        ("event.payload.n / 2.0", 3.5),
        ("event.payload.n * event.payload.price", 17.5),
        ("event.payload.name + ' ' + event.event_type", "ann order.item.added"),
        ('event.payload["a b"].c', 1),
        ("event.payload.tags[1]", "new"),
        ("event.payload.tags[event.payload.zero]", "vip"),
        ("size(event.payload.name) + event.payload.tags.size()", 5),
        ("size('\U0001f600')", 1),
        ("event.payload.n > 5 ? 'big' : 'small'", "big"),
        ("string(1.0) + string(1.5) + string(true)", "11.5true"),
        ("int('12') + int(-1.9)", 11),
        ("double('1.5')", 1.5),
        ("[event.payload.n, 'x']", [7, "x"]),
        ('{"n": event.payload.n, "k": [1]}', {"n": 7, "k": [1]}),
        ("event.payload.nothing", None),
        ("has(event.payload.nothing) && !has(event.payload.missing.deeper)", True),
        ("event.payload.n < 'x'", False),
        ("event.payload.n != 'x'", True),
        ("1 == true", False),
        ("timestamp('2026-01-01T12:00:00Z') == event.timestamp", True),
        ("'\\u00e9\\n\\'' == \"é\\n'\"", True),
        ("0x1F", 31),
        ("false && event.payload.missing", False),
        ("event.payload.missing || true", True),
    ],
)
def test_values(text: str, expected: Any) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("event.payload.missing", Failure.MISSING_PATH),
        ("event.payload.tags[9]", Failure.MISSING_PATH),
        ("event.user_id", Failure.MISSING_PATH),
        ("10 / event.payload.zero", Failure.DIVISION_BY_ZERO),
        ("10.0 / event.payload.zero", Failure.DIVISION_BY_ZERO),
        ("10 % event.payload.zero", Failure.DIVISION_BY_ZERO),
        ("event.payload.big + event.payload.big", Failure.OVERFLOW),
        ("1e308 * 10.0", Failure.OVERFLOW),
        ("int(1e300)", Failure.OVERFLOW),
        ("event.payload.name + 1", Failure.WRONG_TYPE),
        ("-event.payload.name", Failure.WRONG_TYPE),
        ("event.payload.n && true", Failure.WRONG_TYPE),
        ("event.payload.n ? 1 : 2", Failure.WRONG_TYPE),
        ("event.payload.n.startsWith('7')", Failure.WRONG_TYPE),
        ("'a' in event.payload.name", Failure.WRONG_TYPE),
        ("size(event.payload.n)", Failure.WRONG_TYPE),
        ("int('1.5')", Failure.BAD_CONVERSION),
        ("double('x')", Failure.BAD_CONVERSION),
        ("timestamp(event.payload.name)", Failure.BAD_CONVERSION),
    ],
)
def test_failures_say_why_and_do_not_match(text: str, kind: Failure) -> None:
    with pytest.raises(ExpressionError) as failed:
        value(text)
    assert failed.value.kind is kind
    assert failed.value.code is ErrorCode.BAD_INPUT
    assert not holds(f"({text}) == 1")
    assert not holds(f"!(({text}) == 1)")


@pytest.mark.parametrize("path", ["n", "tags", "nothing", "missing", "tags[0].deeper"])
@pytest.mark.parametrize("method", ["startsWith", "endsWith", "contains"])
def test_a_text_method_of_another_type_is_neither_true_nor_false(path: str, method: str) -> None:
    assert not holds(f"event.payload.{path}.{method}('vip')")
    assert not holds(f"!event.payload.{path}.{method}('vip')")


def test_a_text_cannot_grow_without_bound() -> None:
    doubled = compile_expression(parse_expression("state.s + state.s", {"event", "state"}))
    with pytest.raises(ExpressionError) as failed:
        doubled({"state": {"s": "x" * 500_000}})
    assert failed.value.kind is Failure.TOO_LARGE


def test_other_variables_are_those_that_were_named() -> None:
    total = compile_expression(parse_expression("state.total + event.payload.n", {"event", "state"}))
    assert total({"event": event(PAYLOAD), "state": {"total": 1}}) == 8
    with pytest.raises(EsbError, match="unknown name 'state'"):
        parse_expression("state.total")


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("event.payload.( >", 15, "a field's name was expected"),
        ("event.payload.a >", 18, "a value was expected"),
        ("event.payload.a = 1", 17, "unexpected '='"),
        ("event.payload.a == 'x", 20, 'unexpected "\'"'),
        ("event.eventType == 'x'", 1, "event has no field 'eventType'"),
        ("event.event_type.x == 1", 1, "has no fields"),
        ("event == 1", 1, "a field is missing"),
        ("event.size()", 7, "a field is missing"),
        ("payload.a == 1", 1, "unknown name 'payload'"),
        ("event.payload.a.matches('x')", 17, "unknown function 'matches'"),
        ("size(1, 2)", 1, "takes 1 argument"),
        ("has(1)", 1, "asks about a path"),
        ("event.timestamp > '2026-01-01T00:00:00Z'", 17, "a time is compared with a text"),
        ("timestamp('soon')", 1, "RFC 3339"),
        ("1 2", 3, "unexpected '2'"),
        ("1u", 2, "a letter right after"),
        ("9223372036854775808", 1, "2^63"),
        (r"'\q'", 1, "unknown escape"),
        (r"'\u0000'", 1, "no character"),
        ("{'a': 1, 'a': 2}", 17, "twice"),
        ("{1: 2}", 2, "key of a map"),
        ("", 1, "a value was expected"),
    ],
)
def test_what_does_not_parse_says_where(text: str, at: int, problem: str) -> None:
    with pytest.raises(EsbError) as refused:
        parse_expression(text)
    assert refused.value.code is ErrorCode.BAD_INPUT
    assert problem in refused.value.message
    assert refused.value.details is not None
    assert refused.value.details["position"] == at
    assert refused.value.details["hint"]


def test_depth_is_bounded_in_every_direction() -> None:
    for text in ("(" * 40 + "1" + ")" * 40, "1" + "+1" * 40, "!" * 40 + "true", "[" * 40 + "]" * 40):
        with pytest.raises(EsbError, match=r"deeper|too many"):
            parse_expression(text)
    assert holds(" || ".join(["false"] * 100 + ["true"]))


def test_nothing_a_caller_wrote_is_read_as_python() -> None:
    trap = "'; __import__('os').abort() #"
    assert not holds(f'event.payload["{trap}"] == "{trap}" || event.event_type == "{trap}"')
    assert operator.eq(value(f'"{trap}"'), trap)
