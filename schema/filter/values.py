"""How JSON values compare and compute: the functions that generated code calls.

Numbers compare by value: whole numbers exactly, all others as IEEE 754 doubles. Booleans are no numbers. What has no
order with each other is neither less nor greater.
"""

import operator
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from math import fmod, isfinite, trunc
from typing import Any, Final, NoReturn

from schema.errors import ErrorCode, EsbError
from schema.event import MAX_EVENT_BYTES
from schema.filter.times import format_time, parse_time

MISSING: Final = object()

_INT_MAX = 2**63 - 1


class Failure(StrEnum):
    """Why an expression has no value."""

    MISSING_PATH = "MISSING_PATH"
    WRONG_TYPE = "WRONG_TYPE"
    DIVISION_BY_ZERO = "DIVISION_BY_ZERO"
    OVERFLOW = "OVERFLOW"
    BAD_CONVERSION = "BAD_CONVERSION"
    TOO_LARGE = "TOO_LARGE"


class ExpressionError(EsbError):
    """An expression that has no value for this event; `kind` says why."""

    def __init__(self, kind: Failure, message: str) -> None:
        super().__init__(ErrorCode.BAD_INPUT, message, details={"kind": kind.value})
        self.kind = kind


def fail(kind: Failure, message: str) -> NoReturn:
    """Raise an ExpressionError."""
    raise ExpressionError(kind, f"the expression has no value: {message}")


def kind_of(value: Any) -> str:
    """The name of a value's type, as messages say it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a map"
        case datetime():
            return "a time"
    return "an event"


def is_number(value: Any) -> bool:
    """Whether it is a JSON number."""
    return type(value) is int or type(value) is float


def equal(left: Any, right: Any) -> bool:
    """JSON equality, all the way down: true is not 1, and 1.0 is 1."""
    kind = type(left)
    if kind is list:
        return type(right) is list and len(left) == len(right) and all(map(equal, left, right))
    if kind is dict:
        if type(right) is not dict or left.keys() != right.keys():
            return False
        return all(equal(value, right[key]) for key, value in left.items())
    if kind is bool or type(right) is bool:
        return left is right
    return bool(left == right)


def among(value: Any, values: Iterable[Any]) -> bool:
    """Whether `value` equals one of `values`."""
    return any(equal(value, item) for item in values)


def holds(value: Any, part: Any) -> bool:
    """CONTAINS: an element of a list, or a part of a text."""
    if type(value) is list:
        return among(part, value)
    return type(value) is str and type(part) is str and part in value


def step(value: Any, key: str) -> Any:
    """What is at `key` of an object, or of a list where `key` is an index in plain digits; else MISSING."""
    if type(value) is dict:
        return value.get(key, MISSING)
    if type(value) is list and is_index(key):
        index = int(key)
        return value[index] if index < len(value) else MISSING
    return MISSING


def is_index(key: str) -> bool:
    """Whether a path's segment can count a list's elements: digits without leading zeros."""
    return key.isascii() and key.isdigit() and len(key) < 10 and (key[0] != "0" or key == "0")


def walk(value: Any, keys: tuple[str, ...], text: str) -> Any:
    """What is at the end of `keys`; fails where it is missing. `text`: the path as messages name it."""
    for key in keys:
        value = step(value, key)
    if value is MISSING:
        fail(Failure.MISSING_PATH, f"{text} is missing")
    return value


def present(value: Any, keys: tuple[str, ...]) -> bool:
    """Whether there is something, null included, at the end of `keys`."""
    for key in keys:
        value = step(value, key)
    return value is not MISSING


def given(value: Any, text: str) -> Any:
    """An envelope's field; fails where the event does not have it."""
    if value is None:
        fail(Failure.MISSING_PATH, f"{text} is missing")
    return value


def index(value: Any, key: Any) -> Any:
    """`value[key]`."""
    if type(key) is str or type(key) is int:
        found = step(value, str(key))
        if found is not MISSING:
            return found
        fail(Failure.MISSING_PATH, f"there is no [{key!r}] in {kind_of(value)}")
    fail(Failure.WRONG_TYPE, f"{kind_of(key)} is no key")


def ordered(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """`<`, `<=`, `>` or `>=`; false for what has no order."""
    if is_number(left) and is_number(right):
        return compare(left, right)
    if type(left) is type(right) and type(left) in (str, datetime, bool):
        return compare(left, right)
    return False


def contained(value: Any, container: Any) -> bool:
    """`value in container`: an element of a list or a key of a map."""
    if type(container) is list:
        return among(value, container)
    if type(container) is dict:
        return type(value) is str and value in container
    fail(Failure.WRONG_TYPE, f"`in` looks into a list or a map, not into {kind_of(container)}")


def truth(value: Any) -> bool:
    """A condition's value; fails for what is no boolean."""
    if value is True or value is False:
        return bool(value)
    fail(Failure.WRONG_TYPE, f"a condition is true or false, not {kind_of(value)}")


def all_of(*terms: Callable[[], Any]) -> bool:
    """`&&` as in CEL: false if one is false, whatever the others, failing ones included."""
    return _decided(terms, False)


def any_of(*terms: Callable[[], Any]) -> bool:
    """`||` as in CEL: true if one is true, whatever the others, failing ones included."""
    return _decided(terms, True)


def _decided(terms: Iterable[Callable[[], Any]], decisive: bool) -> bool:
    failure: ExpressionError | None = None
    for term in terms:
        try:
            if truth(term()) is decisive:
                return decisive
        except ExpressionError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return not decisive


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
