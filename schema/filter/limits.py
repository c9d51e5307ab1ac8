"""How large a filter may be, and which constants it may hold.

Strings that no stored event can hold (U+0000, lone surrogates) and numbers JSON readers disagree about are refused
here, so that no back end has to.
"""

from math import isfinite
from typing import Any

MAX_EXPRESSION_CHARS = 4096
MAX_EXPRESSION_DEPTH = 32
MAX_EXPRESSION_NODES = 1000
MAX_FILTER_DEPTH = 16
MAX_TESTS = 256
MAX_LIST = 1000
MAX_TEXT_CHARS = 4096
MAX_PATH_SEGMENTS = 32
MAX_CONSTANT_DEPTH = 16
MAX_INTEGER = 2**63 - 1


def text_problem(text: str) -> str | None:
    """Why a text cannot be compared with, or None."""
    if len(text) > MAX_TEXT_CHARS:
        return f"a text has at most {MAX_TEXT_CHARS} characters"
    if "\0" in text:
        return "a text cannot hold U+0000: no event does"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a text cannot hold half of a surrogate pair"
    return None


def constant_problem(value: Any, depth: int = 0) -> str | None:
    """Why a value is no JSON constant a filter may hold, or None."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return text_problem(value)
    if isinstance(value, int):
        return None if abs(value) <= MAX_INTEGER else "a whole number lies within ±(2^63 - 1)"
    if isinstance(value, float):
        return None if isfinite(value) else "a number is finite"
    if depth >= MAX_CONSTANT_DEPTH:
        return f"a constant is nested at most {MAX_CONSTANT_DEPTH} deep"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return "the keys of an object are texts"
        inside: list[Any] = [*value, *value.values()]
    elif isinstance(value, list):
        inside = value
    else:
        return "a constant is a JSON value"
    if len(inside) > 2 * MAX_LIST:
        return f"a constant has at most {MAX_LIST} items"
    return next((problem for item in inside if (problem := constant_problem(item, depth + 1))), None)
