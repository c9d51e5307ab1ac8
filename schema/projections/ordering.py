"""The order of JSON values of any type, as texts that compare by their bytes: what indexed columns hold.

Missing < null < false < true < numbers (as IEEE 754 doubles) < texts (by their first 255 characters) < lists < objects.
`projection_order` in store/migrations/versions/0007_projections.py says the same in SQL; a property test holds them
together.
"""

import struct
from typing import Any

from schema.filter.values import MISSING

MAX_TEXT_CHARS = 255

NUMBERS = "3"
TEXTS = "4"
AFTER_TEXTS = "5"


def order_text(value: Any) -> str:
    """The text of a JSON value, or of MISSING."""
    if value is MISSING:
        return "0"
    match value:
        case None:
            return "1"
        case bool():
            return "2t" if value else "2f"
        case int() | float():
            return NUMBERS + _double(value)
        case str():
            return TEXTS + value[:MAX_TEXT_CHARS]
        case list():
            return AFTER_TEXTS
    return "6"


def _double(value: int | float) -> str:
    try:
        number = float(value) + 0.0  # -0.0 is 0
    except OverflowError:
        number = float("inf") if value > 0 else float("-inf")
    (bits,) = struct.unpack(">Q", struct.pack(">d", number))
    return f"{bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 1 << 63):016x}"
