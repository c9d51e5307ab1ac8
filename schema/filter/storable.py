"""Which JSON documents every reader takes alike, so that a filter means the same on each of them.

RFC 8259 permits more than PostgreSQL's jsonb, Python and JavaScript can hold; RFC 7493 (I-JSON) draws the line that is
drawn here: text is Unicode, numbers lie in the range of IEEE 754 doubles. Besides: no U+0000, which PostgreSQL's text
cannot hold, and bounded nesting. What is stored passed this check; the SQL of filters relies on it.
"""

import json
import re
from math import isinf
from typing import Any, NoReturn

MAX_NESTING = 128

# What only a closer look can judge: NUL, exponents of three digits, very long runs of digits.
_SUSPECT = re.compile(rb"\\u0000|[0-9][eE][+-]?[0-9]{3,}(?:[\s,}\]]|\Z)|[0-9]{300}|\.[0-9]{300}")


def document_problem(raw: bytes) -> str | None:
    """Why a JSON text (checked for syntax already) cannot be stored, or None. Costs about 1 µs a kilobyte."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8"
    if raw.count(b"[") + raw.count(b"{") <= MAX_NESTING and _SUSPECT.search(raw) is None:
        return None
    return _look_closer(raw)


class _Refused(Exception):
    """Carries the problem out of the decoder."""


def _look_closer(raw: bytes) -> str | None:
    try:
        document = json.loads(raw, parse_float=_real, parse_int=_whole, parse_constant=_constant)
    except RecursionError:
        return f"it is nested deeper than {MAX_NESTING}"
    except _Refused as refused:
        return str(refused)
    except ValueError:
        return "it is not JSON"
    return _walk(document)


def _real(text: str) -> None:
    value = float(text)
    mantissa = re.split("[eE]", text)[0]
    if isinf(value) or (value == 0 and mantissa.strip("-0.")):
        raise _Refused("a number is outside the range of IEEE 754 doubles")


def _whole(text: str) -> None:
    if len(text) > 300 and isinf(float(text)):
        raise _Refused("a number is outside the range of IEEE 754 doubles")


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is not JSON")


def _walk(document: Any) -> str | None:
    """Level by level, so that no depth overflows Python's stack."""
    level, depth = [document], 0
    while level:
        holders = [item for item in level if isinstance(item, dict | list)]
        if holders and depth == MAX_NESTING:
            return f"it is nested deeper than {MAX_NESTING}"
        keys = (key for item in holders if isinstance(item, dict) for key in item)
        if any("\0" in text for text in (*keys, *(item for item in level if isinstance(item, str)))):
            return "a text holds U+0000"
        level = [inner for item in holders for inner in (item.values() if isinstance(item, dict) else item)]
        depth += 1
    return None
