"""How expressions compute: arithmetic, conversions and text methods; and the tables from operators to functions."""

import operator
import re
from collections.abc import Callable
from datetime import datetime
from math import fmod, isfinite, trunc
from typing import Any

from schema.event import MAX_EVENT_BYTES
from schema.filter.failure import Failure, fail, kind_of
from schema.filter.times import format_time, parse_time
from schema.filter.values import contained, equal, is_number, ordered

_INT_MAX = 2**63 - 1


def _whole(value: int) -> int:
    if -_INT_MAX - 1 <= value <= _INT_MAX:
        return value
    fail(Failure.OVERFLOW, "a whole number left the range of 64 bits")


def _finite(value: float) -> float:
    if isfinite(value):
        return value
    fail(Failure.OVERFLOW, "a number left the range of IEEE 754 doubles")


def _double(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        fail(Failure.OVERFLOW, "a number left the range of IEEE 754 doubles")


def _bounded(value: Any) -> Any:
    if len(value) > MAX_EVENT_BYTES:
        fail(Failure.TOO_LARGE, "a value grew larger than an event may be")
    return value


def _compute(sign: str, whole: Callable[[int, int], int], real: Callable[[float, float], float]) -> Callable[..., Any]:
    """An arithmetic operator: whole numbers stay whole (64 bits), with a double everything is double."""

    def computed(left: Any, right: Any) -> Any:
        if type(left) is int and type(right) is int:
            return _whole(whole(left, right))
        if is_number(left) and is_number(right):
            try:
                return _finite(real(_double(left), _double(right)))
            except OverflowError:
                fail(Failure.OVERFLOW, "a number left the range of IEEE 754 doubles")
        if sign == "+" and type(left) is type(right) and type(left) in (str, list):
            return _bounded(left + right)
        fail(Failure.WRONG_TYPE, f"{kind_of(left)} {sign} {kind_of(right)}")

    return computed


def _nonzero(divide: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def divided(left: Any, right: Any) -> Any:
        if right == 0:
            fail(Failure.DIVISION_BY_ZERO, "division by zero")
        return divide(left, right)

    return divided


def _quotient(left: int, right: int) -> int:
    """Towards zero, as in CEL; Python's own goes down."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


add = _compute("+", operator.add, operator.add)
subtract = _compute("-", operator.sub, operator.sub)
multiply = _compute("*", operator.mul, operator.mul)
divide = _compute("/", _nonzero(_quotient), _nonzero(operator.truediv))
modulo = _compute("%", _nonzero(_remainder), _nonzero(fmod))


def negate(value: Any) -> Any:
    """`-value`."""
    if type(value) is int:
        return _whole(-value)
    if type(value) is float:
        return -value
    fail(Failure.WRONG_TYPE, f"- {kind_of(value)}")


def size(value: Any) -> int:
    """Characters (code points) of a text, items of a list, entries of a map."""
    if type(value) in (str, list, dict):
        return len(value)
    fail(Failure.WRONG_TYPE, f"{kind_of(value)} has no size")


def _text_method(name: str, method: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def called(value: Any, part: Any) -> bool:
        if type(value) is str and type(part) is str:
            return method(value, part)
        fail(Failure.WRONG_TYPE, f"{name}() compares texts, not {kind_of(value)} and {kind_of(part)}")

    return called


starts_with = _text_method("startsWith", str.startswith)
ends_with = _text_method("endsWith", str.endswith)
contains = _text_method("contains", str.__contains__)

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_REAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


def to_string(value: Any) -> str:
    """`string(value)`: of a number in the fewest digits that say it, 1.0 as 1."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case int() | float():
            return str(_whole(value)) if type(value) is int else repr(value)
        case datetime():
            return format_time(value)
    fail(Failure.BAD_CONVERSION, f"{kind_of(value)} does not become a text")


def to_int(value: Any) -> int:
    """`int(value)`: of a number without its fraction, of a text of digits."""
    if type(value) is int:
        return _whole(value)
    if type(value) is float:
        return _whole(trunc(value))
    if type(value) is str and _INTEGER.fullmatch(value):
        return _whole(int(value))
    fail(Failure.BAD_CONVERSION, f"{kind_of(value)} does not become a whole number")


def to_double(value: Any) -> float:
    """`double(value)`: of a number, of a text that shows one."""
    if is_number(value):
        return _double(value)
    if type(value) is str and len(value) < 400 and _REAL.fullmatch(value):
        return _finite(float(value))
    fail(Failure.BAD_CONVERSION, f"{kind_of(value)} does not become a number")


def to_timestamp(value: Any) -> datetime:
    """`timestamp(value)`: of an RFC 3339 text."""
    if type(value) is datetime:
        return value
    moment = parse_time(value) if type(value) is str else None
    if moment is None:
        fail(Failure.BAD_CONVERSION, f"{kind_of(value)} is no RFC 3339 time")
    return moment


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": lambda left, right: ordered(operator.lt, left, right),
    "<=": lambda left, right: ordered(operator.le, left, right),
    ">": lambda left, right: ordered(operator.gt, left, right),
    ">=": lambda left, right: ordered(operator.ge, left, right),
    "in": contained,
}

CALLS: dict[str, Callable[..., Any]] = {
    "size": size,
    "string": to_string,
    "int": to_int,
    "double": to_double,
    "timestamp": to_timestamp,
    "startsWith": starts_with,
    "endsWith": ends_with,
    "contains": contains,
}
