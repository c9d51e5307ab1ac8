"""A condition's filter as text that the server itself fills in with values, safely quoted.

PL/pgSQL binds a fixed number of typed values to dynamic SQL, a filter has any number of any type. So each value goes as
text, `format(…, '%n$L')` quotes it on the server, and PostgreSQL gives the literal the type its place asks for.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from schema.errors import bad_input
from schema.filter.ast import Filter
from schema.filter.sql import compile_sql

_PARAMETER = re.compile(r"\$(\d+)")


def template(where: Filter) -> tuple[str, list[str | None]]:
    """The template and its values' texts. Raises BAD_INPUT for a filter that SQL decides only roughly."""
    values: list[Any] = []
    compiled = compile_sql(where, values)
    if not compiled.exact:
        raise bad_input("a condition must be decided inside the log: this expression is beyond what it can decide")
    text = _PARAMETER.sub(r"%\1$L", compiled.text.replace("%", "%%"))
    return text, [_text(value) for value in values]


def _text(value: Any) -> str | None:
    """A value as PostgreSQL's input functions read it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return "{" + ",".join(_element(item) for item in value) + "}"
    if isinstance(value, str | int | float | Decimal):
        return str(value)
    raise TypeError(f"no text for a {type(value).__name__}")


def _element(item: Any) -> str:
    """An element of an array literal, always quoted but for null (PostgreSQL documentation, 8.15.6)."""
    text = _text(item)
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
