"""Which JSON documents every reader takes alike, so that a filter means the same on each of them.

A decoder that refuses bad UTF-8, lone surrogates and numbers beyond a double (orjson does) lets through what
PostgreSQL's jsonb or Python's own decoders cannot hold. One such row stored would make every query that looks into it
fail, so it is refused at the door; the SQL of filters relies on that.
"""

import json
import re
from typing import Any

MAX_NESTING = 128
MAX_DECIMALS = 16383  # PostgreSQL documentation, table 8.2: digits of a numeric after the point

# Looked for only where a plain search finds the beginning: that is 20 times as fast.
_TINY, _TINY_CAPITAL = re.compile(rb"e-[0-9]{4}"), re.compile(rb"E-[0-9]{4}")
_LONG = re.compile(rb"\.[0-9]{15000}")


def document_problem(raw: bytes, document: Any) -> str | None:
    """Why a JSON text cannot be stored, or None. `document`: the same, decoded."""
    # one byte is looked for far faster than two, and most documents have neither
    long = len(raw) > 2 * MAX_NESTING  # else it has not as many brackets
    if (b"\\" in raw and rb"\u0000" in raw) or (long and raw.count(b"[") + raw.count(b"{") > MAX_NESTING):
        problem = _shape_problem(document)
        if problem is not None:
            return problem
    if (b"-" in raw and _is_tiny(raw)) or (len(raw) > 15000 and _LONG.search(raw)):
        return _number_problem(raw)
    return None


def _is_tiny(raw: bytes) -> bool:
    return bool((b"e-" in raw and _TINY.search(raw)) or (b"E-" in raw and _TINY_CAPITAL.search(raw)))


def _shape_problem(document: Any) -> str | None:
    """Level by level, so that no depth overflows Python's stack."""
    level, depth = [document], 0
    while level:
        holders = [item for item in level if isinstance(item, dict | list)]
        if holders and depth == MAX_NESTING:
            return f"is nested deeper than {MAX_NESTING}"
        keys = (key for item in holders if isinstance(item, dict) for key in item)
        if any("\0" in text for text in (*keys, *(item for item in level if isinstance(item, str)))):
            return "holds the character U+0000, which cannot be stored"
        level = [inner for item in holders for inner in (item.values() if isinstance(item, dict) else item)]
        depth += 1
    return None


def _number_problem(raw: bytes) -> str | None:
    most = 0

    def count(number: str) -> None:
        nonlocal most
        mantissa, _, exponent = number.lower().partition("e")
        decimals = len(mantissa.partition(".")[2]) - int(exponent[:12] or 0)
        most = max(most, decimals)

    json.loads(raw, parse_float=count)
    return (
        f"holds a number with more than {MAX_DECIMALS} decimals, which cannot be stored"
        if most > MAX_DECIMALS
        else None
    )
