"""The state while events are folded into it: who owns its parts, and how large it can be.

A part that this run made itself may be changed in place; every other part (of the state it began with, of an event, of
a declaration) is copied before its first change. The size is bounded from above by what was put in, and measured only
when that bound passes the limit: encoding the state after every event would cost more than folding it.
"""

from typing import Any

import msgspec

from schema.errors import ErrorCode, EsbError
from schema.filter.counted import Spend
from schema.filter.failure import Failure, fail, kind_of
from schema.filter.values import is_index
from schema.folding import limits

_OWNED = 512
_encode = msgspec.json.Encoder().encode


class State:
    """A state and what is known of it. Read `value`; only the methods and `schema.folding.operations` change it."""

    __slots__ = ("_bytes", "_depth", "_owned", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        # By id, holding the container itself: a bare id may come back as that of another object.
        self._owned: dict[int, Any] = {}
        self._bytes = -1  # not known: measured when first asked
        self._depth = 0

    def taken(self) -> Any:
        """The value, given away: from here on none of it is changed in place."""
        self._owned.clear()
        return self.value

    def share(self) -> None:
        """Parts of the state may now stand in it twice: none of it is changed in place any more."""
        self._owned.clear()

    def made(self, container: Any) -> Any:
        """A container this run just made."""
        if len(self._owned) >= _OWNED:
            self._owned.clear()
        self._owned[id(container)] = container
        return container

    def own(self, container: Any, spend: Spend) -> Any:
        """The list or object, or a copy of it that may be changed."""
        if id(container) in self._owned:
            return container
        spend(len(container) >> 3)
        return self.made(container.copy())

    def holder(self, path: tuple[str, ...], spend: Spend) -> Any:
        """The object or list that holds the last segment of `path`, ready to be changed; objects are made on the way.
        Fails where something else stands in the way."""
        here = self.value
        if here is None:
            here = self.made({})
        elif type(here) is dict or type(here) is list:
            here = self.own(here, spend)
        else:
            fail(Failure.WRONG_TYPE, f"the state is {kind_of(here)}, it has no {path[0]}")
        self.value = here
        for number in range(len(path) - 1):
            key: Any = path[number]
            if type(here) is dict:
                inner = here.get(key)
            else:
                key = element(here, path, number)
                inner = here[key]
            if inner is None:
                inner = self.made({})
            elif type(inner) is dict or type(inner) is list:
                inner = self.own(inner, spend)
            else:
                fail(Failure.WRONG_TYPE, f"{'.'.join(path[: number + 1])} is {kind_of(inner)}, not an object")
            here[key] = inner
            here = inner
        return here

    def grew(self, path: tuple[str, ...], size: int, depth: int) -> None:
        """Something of `size` bytes and `depth` levels was put at `path`."""
        if self._bytes >= 0:
            self._bytes += size
            for key in path:
                self._bytes += 6 * len(key) + 8
        if len(path) + depth > self._depth:
            self._depth = len(path) + depth

    def emptied(self) -> None:
        """There is no state any more."""
        self.value, self._bytes, self._depth = None, 0, 0

    def check(self) -> None:
        """Raise unless the state is within its limits."""
        if self._bytes < 0 or self._bytes > limits.MAX_STATE_BYTES:
            self._bytes = size_of(self.value)
            if self._bytes > limits.MAX_STATE_BYTES:
                raise EsbError(
                    ErrorCode.PAYLOAD_TOO_LARGE,
                    f"the state would have {self._bytes} bytes; at most {limits.MAX_STATE_BYTES}",
                )
        if self._depth > limits.MAX_STATE_DEPTH:
            self._depth = depth_of(self.value)
            if self._depth > limits.MAX_STATE_DEPTH:
                raise too_deep()


def element(items: list[Any], path: tuple[str, ...], number: int) -> int:
    """The index of a list's element that segment `number` of `path` names; fails where there is none."""
    key = path[number]
    if is_index(key) and int(key) < len(items):
        return int(key)
    fail(Failure.MISSING_PATH, f"{'.'.join(path[:number]) or 'the state'} is a list of {len(items)}; it has no {key}")


def bound_of(value: Any, spend: Spend) -> tuple[int, int]:
    """The most bytes of JSON and the most levels a value can have, found cheaply."""
    match value:
        case str():
            return 6 * len(value) + 2, 0
        case int():
            return value.bit_length() // 3 + 6, 0
        case float() | None:
            return 26, 0
    if not value:
        return 2, 1
    text = encoded(value)
    spend(len(text) >> 6)
    return len(text), min(text.count(b"{") + text.count(b"["), limits.MAX_STATE_DEPTH + 1)


def size_of(value: Any) -> int:
    """Bytes of the value as JSON."""
    return len(encoded(value))


def encoded(value: Any) -> bytes:
    """The value as JSON; a state too deep to be written is refused as too deep."""
    try:
        return _encode(value)
    except RecursionError:
        raise too_deep() from None


def depth_of(value: Any) -> int:
    """Levels of objects and lists within each other, up to one more than allowed; no depth overflows Python's stack."""
    level, depth = [value], 0
    while depth <= limits.MAX_STATE_DEPTH:
        holders = [item for item in level if type(item) is dict or type(item) is list]
        if not holders:
            break
        depth += 1
        level = [inner for item in holders for inner in (item.values() if type(item) is dict else item)]
    return depth


def too_deep() -> EsbError:
    """The refusal of a state that is nested too deep."""
    return EsbError(ErrorCode.PAYLOAD_TOO_LARGE, f"the state would be nested deeper than {limits.MAX_STATE_DEPTH}")
