"""How JSON values are reached and compared: the functions that generated code calls.

Numbers compare by value: whole numbers exactly, all others as IEEE 754 doubles. Booleans are no numbers. What has no
order with each other is neither less nor greater.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from schema.filter.failure import ExpressionError, Failure, fail, kind_of

MISSING: Final = object()


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
