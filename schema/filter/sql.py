"""Filters as PostgreSQL conditions over the alias `e` of `events` or `indexed_events`.

Constants travel as parameters only. Comparisons on fields with a column stay bare, so that indexes serve them; all
others look into the body, parsed once a row. No condition can fail at run time: casts stand behind CASE.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from schema.filter.ast import FIELDS, ORDERING, And, FieldKind, Filter, Not, Op, Or, Test
from schema.filter.normal import normalise
from schema.filter.pattern import parse_pattern
from schema.filter.values import is_index, is_number


class SqlFilter(NamedTuple):
    """`text`: a condition every matching row fulfils. `exact`: no other row does; else each row found is to be checked
    by `schema.filter.python.compile_filter` as well."""

    text: str
    exact: bool


_COLUMNS = {
    "event_id": "e.event_id",
    "event_type": "e.event_type",
    "aggregate_id": "e.aggregate_id",
    "aggregate_type": "e.aggregate_type",
    "correlation_id": "e.correlation_id",
    "causation_id": "e.causation_id",
    "sequence_number": "e.sequence_number",
    "timestamp": "e.ts",
    "recorded_at": "e.recorded_at",
}
_SIGNS = {Op.EQ: "=", Op.NE: "<>", Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}
_WIDENED = {Op.EQ: "=", Op.GT: ">=", Op.GTE: ">=", Op.LT: "<=", Op.LTE: "<="}
_CASTS = {FieldKind.TEXT: "text", FieldKind.LONG: "bigint", FieldKind.TIME: "timestamptz"}

_TRUE, _FALSE = "TRUE", "FALSE"

# Below this every whole number is a double, and doubles compare as the numbers they stand for.
_EXACT_DOUBLE = 2**53

_PARAMETER = re.compile(r"\$([0-9]+)")
_encoder = msgspec.json.Encoder()


class _Condition(NamedTuple):
    """`body`: whether it speaks of the parsed body `b.d`."""

    text: str
    exact: bool = True
    body: bool = False


def compile_sql(filter: Filter, parameters: list[Any]) -> SqlFilter:
    """The condition of a filter. Constants are appended to `parameters` (asyncpg's order: the first is $1)."""
    node = normalise(filter)
    constants: list[Any] = []
    writer = _Writer(constants)
    conditions = [writer.condition(item) for item in (node.items if isinstance(node, And) else (node,))]
    plain = [condition.text for condition in conditions if not condition.body]
    inner = [condition.text for condition in conditions if condition.body]
    if inner:
        # OFFSET 0 keeps the planner from pulling the parse up into every place that uses it.
        plain.append(f"(SELECT {' AND '.join(inner)} FROM (SELECT e.body::jsonb AS d OFFSET 0) AS b)")
    text = _referring(_joined(plain, "AND"), constants, parameters)
    return SqlFilter(text, all(condition.exact for condition in conditions))


def _referring(text: str, constants: list[Any], parameters: list[Any]) -> str:
    """The text with its constants among `parameters`. Those of conditions that fell away are left out: PostgreSQL
    refuses a parameter no one mentions. The text holds nothing a caller wrote, so every $n is a constant's."""
    places: dict[str, int] = {}

    def place(match: re.Match[str]) -> str:
        if match[1] not in places:
            parameters.append(constants[int(match[1]) - 1])
            places[match[1]] = len(parameters)
        return f"${places[match[1]]}"

    return _PARAMETER.sub(place, text)


def _joined(texts: list[str], operator: str) -> str:
    """TRUE and FALSE are taken out where they say nothing, and win where they say all."""
    neutral, final = (_TRUE, _FALSE) if operator == "AND" else (_FALSE, _TRUE)
    if final in texts:
        return final
    kept = [text for text in texts if text != neutral]
    return kept[0] if len(kept) == 1 else f"({f' {operator} '.join(kept)})" if kept else neutral


class _Writer:
    """Writes conditions. NULL counts as false, so negation always goes through IS NOT TRUE."""

    def __init__(self, parameters: list[Any]) -> None:
        self._parameters = parameters

    def _add(self, value: Any, cast: str) -> str:
        self._parameters.append(value)
        return f"${len(self._parameters)}::{cast}"

    def _json(self, value: Any) -> str:
        # Through text: a connection may have its own codec for jsonb.
        return self._add(_encoder.encode(value).decode(), "text") + "::jsonb"

    def condition(self, node: Filter) -> _Condition:
        """A condition that holds wherever the filter matches."""
        match node:
            case And(items) | Or(items):
                parts = [self.condition(item) for item in items]
                text = _joined([part.text for part in parts], "AND" if isinstance(node, And) else "OR")
                return _Condition(text, all(part.exact for part in parts), any(part.body for part in parts))
            case Test():
                return self._test(node)
            case Not(Test() as test):
                found = self._test(test)
                # The complement of a wider condition would be too narrow.
                return found._replace(text=f"({found.text}) IS NOT TRUE") if found.exact else _Condition(_TRUE, False)
        return _Condition(_TRUE, False)  # an expression's part that has no counterpart with the same meaning

    def _test(self, test: Test) -> _Condition:
        kind = FIELDS[test.field]
        if kind is FieldKind.JSON:
            text, exact = self._document(self._reach(test), test.op, test.value)
            return _Condition(text, exact, True)
        column = _COLUMNS.get(test.field)
        if column is not None:
            return _Condition(self._scalar(column, kind, test.op, test.value))
        return _Condition(self._scalar(f"(b.d ->> '{test.field}') COLLATE \"C\"", kind, test.op, test.value), body=True)

    def _scalar(self, column: str, kind: FieldKind, op: Op, value: Any) -> str:
        if op is Op.EXISTS:
            return f"{column} IS NOT NULL"
        if op is Op.IN:
            items = [item for item in value if _comparable(kind, item)]
            if kind is FieldKind.LONG:
                return f"{column} = ANY({self._add([Decimal(item) for item in items], 'numeric[]')})"
            return f"{column} = ANY({self._add(items, _CASTS[kind] + '[]')})"
        if not _comparable(kind, value):
            return f"{column} IS NOT NULL" if op is Op.NE else _FALSE
        match op:
            case Op.STARTS_WITH:
                return self._prefix(column, value) if kind is FieldKind.TEXT else _FALSE
            case Op.ENDS_WITH:
                part = self._add(value, "text")
                return f"right({column}, {self._add(len(value), 'int')}) = {part}" if kind is FieldKind.TEXT else _FALSE
            case Op.CONTAINS:
                return f"strpos({column}, {self._add(value, 'text')}) > 0" if kind is FieldKind.TEXT else _FALSE
            case Op.PATTERN:
                return self._pattern(column, value)
        if kind is FieldKind.LONG and (isinstance(value, float) or abs(value) >= 2**63):
            return f"{column} {_SIGNS[op]} {self._add(Decimal(value), 'numeric')}"
        return f"{column} {_SIGNS[op]} {self._add(value, _CASTS[kind])}"

    def _prefix(self, column: str, prefix: str) -> str:
        """A range, which an index serves; in code point order it holds exactly the texts with the prefix."""
        low = f"{column} >= {self._add(prefix, 'text')}"
        high = _successor(prefix)
        return low if high is None else f"({low} AND {column} < {self._add(high, 'text')})"

    def _pattern(self, column: str, text: str) -> str:
        pattern = parse_pattern(text)
        regex = f"('.' || {column}) ~ {self._add(f'^(?:{pattern.regex})$', 'text')}"
        if not pattern.prefix:
            return regex
        head = ".".join(pattern.prefix)
        low, high = self._add(head, "text"), self._add(head + "/", "text")  # "/" comes right after "."
        return f"({column} >= {low} AND {column} < {high} AND {regex})"

    def _reach(self, test: Test) -> str:
        """The value at the test's path in the body, NULL where it is missing."""
        reached, run = "b.d", [test.field]
        for key in test.keys:
            if _counts_for_postgres(key) and not is_index(key):
                # #> would take " 1", "+1" or "-1" for an index; -> with a text looks into objects only.
                reached = f"({reached} #> {self._add(run, 'text[]')} -> {self._add(key, 'text')})"
                run = []
            else:
                run.append(key)
        return f"({reached} #> {self._add(run, 'text[]')})" if run else reached

    def _document(self, value: str, op: Op, constant: Any) -> tuple[str, bool]:
        """A condition on the jsonb `value`, and whether it is exact."""
        match op:
            case Op.EXISTS:
                return f"{value} IS NOT NULL", True
            case Op.EQ:
                return self._equals(value, constant)
            case Op.NE:
                text, exact = self._equals(value, constant)
                return (
                    (f"({value} IS NOT NULL AND ({text}) IS NOT TRUE)", True)
                    if exact
                    else (f"{value} IS NOT NULL", False)
                )
            case Op.IN:
                return self._among(value, constant)
            case Op.CONTAINS:
                return self._contains(value, constant)
        if op in ORDERING and isinstance(constant, int | float):
            return self._number(value, op, constant)
        if not isinstance(constant, str):
            return _FALSE, True  # a time: no document holds one
        text = f"(CASE WHEN jsonb_typeof({value}) = 'string' THEN {value} #>> '{{}}' END) COLLATE \"C\""
        return self._scalar(text, FieldKind.TEXT, op, constant), True

    def _equals(self, value: str, constant: Any) -> tuple[str, bool]:
        match constant:
            case bool() | str() | None:
                return f"{value} = {self._json(constant)}", True
            case int() | float():
                return self._number(value, Op.EQ, constant)
            case datetime():
                return _FALSE, True
        if _plain(constant):
            return f"{value} = {self._json(constant)}", True
        # jsonb compares decimals, we compare doubles: only the shape is told here.
        if isinstance(constant, list):
            length = self._add(len(constant), "int")
            return f"CASE WHEN jsonb_typeof({value}) = 'array' THEN jsonb_array_length({value}) = {length} END", False
        return f"(jsonb_typeof({value}) = 'object' AND {value} ?& {self._add(list(constant), 'text[]')})", False

    def _among(self, value: str, constants: list[Any]) -> tuple[str, bool]:
        """One array of what jsonb compares as we do, one of doubles; only what is left takes a condition each."""
        alike = [_encoder.encode(item).decode() for item in constants if _plain(item)]
        doubles = [float(item) for item in constants if is_number(item) and abs(item) < _EXACT_DOUBLE]
        rest = [item for item in constants if not _plain(item) and not (is_number(item) and abs(item) < _EXACT_DOUBLE)]
        parts = [self._equals(value, item) for item in rest]
        if alike:
            parts.append((f"{value} = ANY({self._add(alike, 'text[]')}::jsonb[])", True))
        if doubles:
            parts.append((f"{_DOUBLE.format(value)} = ANY({self._add(doubles, 'float8[]')})", True))
        return _joined([text for text, _ in parts], "OR"), all(exact for _, exact in parts)

    def _number(self, value: str, op: Op, constant: int | float) -> tuple[str, bool]:
        exact = abs(constant) < _EXACT_DOUBLE
        signs = _SIGNS if exact else _WIDENED
        return f"{_DOUBLE.format(value)} {signs[op]} {self._add(float(constant), 'float8')}", exact

    def _contains(self, value: str, constant: Any) -> tuple[str, bool]:
        equals, exact = self._equals("a.v", constant)
        elements = f"EXISTS (SELECT FROM jsonb_array_elements({value}) AS a(v) WHERE {equals})"
        text = ""
        if isinstance(constant, str):
            part = self._add(constant, "text")
            text = f" WHEN 'string' THEN strpos({value} #>> '{{}}', {part}) > 0"
        return f"CASE jsonb_typeof({value}) WHEN 'array' THEN {elements}{text} END", exact


# A jsonb number as Python reads it. The cast to float8 fails beyond a double's range, on both ends: what prints short
# is inside; of the rest, too small is 0 (the constant: half the least double), and too large was never admitted.
_DOUBLE = (
    "(CASE WHEN jsonb_typeof({0}) = 'number' THEN CASE WHEN length({0}::text) < 300 THEN {0}::float8"
    " WHEN abs({0}::numeric) < 2.4703282292062328e-324 THEN 0::float8"
    " WHEN abs({0}::numeric) < 1.7976931348623158e308 THEN {0}::float8 END END)"
)


def _comparable(kind: FieldKind, value: Any) -> bool:
    match kind:
        case FieldKind.TEXT:
            return isinstance(value, str)
        case FieldKind.LONG:
            return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, datetime)


def _plain(constant: Any) -> bool:
    """Whether jsonb's own equality is ours: it is where no number and no time is inside."""
    match constant:
        case list():
            return all(map(_plain, constant))
        case dict():
            return all(map(_plain, constant.values()))
    return constant is None or isinstance(constant, bool | str)


def _counts_for_postgres(key: str) -> bool:
    return key.strip().lstrip("+-").isdigit()


def _successor(prefix: str) -> str | None:
    """The least text after all that start with `prefix`; None where there is none."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1]) + 1
        if code <= 0x10FFFF:
            return prefix[: end - 1] + chr(0xE000 if 0xD800 <= code < 0xE000 else code)
    return None
