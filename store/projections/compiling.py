"""Plain declarations as SQL: what counts, sums, compares and remembers the latest is folded where the events are.

Only what gives exactly what the Python fold gives is compiled, and only while the events are plain: whole numbers are
summed, doubles are not (their sums depend on the order, and on who writes them down). A stretch of the log that holds
anything else (a missing path, a text where a number should be, a sum near 64 bits, whatever would be poison) is refused
as a whole, and left to Python.
"""

from typing import Any, NamedTuple

import msgspec

from schema.filter.ast import FIELDS, FieldKind, Filter, Op, Test
from schema.filter.expression import Expression
from schema.filter.lower import lower
from schema.filter.sql import compile_sql
from schema.filter.syntax import Node, Path, children
from schema.filter.values import is_index
from schema.folding.declared import Kind, Operation, Reducer
from schema.projections.declared import Declaration

# Tokens as they stand in the event. Fifteen digits: millions of them can be summed within 64 bits.
_WHOLE = r"'^(0|-?[1-9][0-9]{0,14})$'"
_SCALAR = r"""'^("[^\\]{0,250}"|-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?|true|false|null)$'"""
_SAFE_SUM = 9 * 10**18
_MOST_CONSTANT = 10**15
_KEY_COLUMNS = ("event_id", "event_type", "aggregate_id", "aggregate_type", "correlation_id", "causation_id")

_encode = msgspec.json.Encoder().encode


class Folding(NamedTuple):
    """The fold of a declaration over a stretch of the log, as parts of a statement.

    `source`: the CTEs `source` (plain: whether the event is) and `folded`, with a place {places} for the condition on
    the events' places (alias `e`). `rows`: a relation of key, position, recorded_at, value, old (the value before the
    stretch) and fits (whether it is exactly the fold's). `values`: what its parameters $1 and so on mean.
    """

    source: str
    rows: str
    values: list[Any]


class _Unfit(Exception):
    """It cannot be said in SQL with the same meaning."""


def compile_folding(declaration: Declaration, table: str) -> Folding | None:
    """The folding of a declaration into the rows of `table`, None: it is not plain. With history a row an event, else
    the last one of each key."""
    try:
        return _Compiler(declaration).folding(table)
    except _Unfit:
        return None


class _Compiler:
    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration
        self._values: list[Any] = []
        self._tokens: dict[Path, int] = {}
        self._fields: dict[str, list[tuple[int, Operation]]] = {}

    def folding(self, table: str) -> Folding:
        where = "true" if self._declaration.where is None else self._exact(self._declaration.where)
        types, conditions = [], []
        for number, reducer in enumerate(self._declaration.reducers):
            types.append(self._exact(Test(Path("event", ("event_type",)), Op.PATTERN, reducer.on)))
            conditions.append(self._condition(types[-1], reducer))
            for operation in reducer.operations:
                self._field(number, operation)
        key, key_column = self._key(self._declaration.key)
        chosen = "".join(f", r{number}" for number in range(len(conditions)))
        plain = ["octet_length(k) between 1 and 512", *self._plain()]
        numbers = self._numbers()
        source = f"""
        source as materialized (
          select *, ({" and ".join(plain)}) is true as plain from (
            select position, recorded_at, {key} as k{chosen}{"".join(f", t{n}" for n in self._tokens.values())}
              {"".join(f", case when t{n} ~ {_WHOLE} then t{n}::bigint end as n{n}" for n in numbers)}
            from (
            select position, recorded_at, kc{chosen}
              {"".join(f", {self._reach(path)}::text as t{n}" for path, n in self._tokens.items())}
            from (
              select e.position, e.recorded_at, {key_column} as kc
                {"".join(f", ({one}) is true as r{number}" for number, one in enumerate(conditions))}
                {", e.body::json as b" if self._tokens else ""}
              from events e where {{places}} and ({where}) and ({" or ".join(types)})
              offset 0
            ) events offset 0
            ) tokens offset 0
          ) read
        ),
        folded as ({self._folded(len(conditions))})"""
        return Folding(source, self._rows(table), self._values)

    def _add(self, value: Any, cast: str) -> str:
        self._values.append(value)
        return f"${len(self._values)}::{cast}"

    def _exact(self, where: Filter) -> str:
        compiled = compile_sql(where, self._values)
        if not compiled.exact:
            raise _Unfit
        return compiled.text

    def _condition(self, on: str, reducer: Reducer) -> str:
        if reducer.where is None:
            return on
        if any(isinstance(node, Path) and node.name != "event" for node in _nodes(reducer.where.tree)):
            raise _Unfit
        return f"({on}) and ({self._exact(lower(reducer.where.tree))})"

    def _field(self, reducer: int, operation: Operation) -> None:
        if len(operation.path) != 1 or operation.kind not in (Kind.INCREMENT, Kind.MIN, Kind.MAX, Kind.SET):
            raise _Unfit
        known = self._fields.setdefault(operation.path[0], [])
        if known and known[0][1].kind is not operation.kind:
            raise _Unfit  # what comes out depends on their order
        known.append((reducer, operation))
        if operation.expression is not None:
            self._token(operation.expression)
        elif operation.kind is Kind.SET:
            if not (operation.value is None or type(operation.value) in (str, bool, int)):
                raise _Unfit
        elif type(operation.value) is not int or abs(operation.value) >= _MOST_CONSTANT:
            raise _Unfit

    def _token(self, expression: Expression) -> int:
        """The number of the token that an expression reads which is a plain path into a document."""
        path = expression.tree
        if not isinstance(path, Path) or path.name != "event" or len(path.segments) < 2:
            raise _Unfit
        if FIELDS[path.segments[0]] is not FieldKind.JSON or not all(map(_plain_segment, path.segments[1:])):
            raise _Unfit
        return self._tokens.setdefault(path, len(self._tokens))

    def _reach(self, path: Path) -> str:
        return f"(b #> {self._add(list(path.segments), 'text[]')})"

    def _key(self, expression: Expression) -> tuple[str, str]:
        """The key as a text, NULL where it is none; and the column it comes from, if it is one."""
        path = expression.tree
        if isinstance(path, Path) and path.name == "event" and len(path.segments) == 1:
            if path.segments[0] not in _KEY_COLUMNS:
                raise _Unfit
            return "kc", f"e.{path.segments[0]}"
        token = f"t{self._token(expression)}"
        text = f"case when {token} like '\"%' then {token}::json #>> '{{}}' when {token} ~ {_WHOLE} then {token} end"
        return f"({text})", "null::text"

    def _numbers(self) -> list[int]:
        """The tokens that are computed with."""
        return sorted(
            {
                self._token(operation.expression)
                for operations in self._fields.values()
                for _, operation in operations
                if operation.expression is not None and operation.kind is not Kind.SET
            }
        )

    def _plain(self) -> list[str]:
        found = []
        for operations in self._fields.values():
            for reducer, operation in operations:
                if operation.expression is not None:
                    token = self._token(operation.expression)
                    holds = f"t{token} ~ {_SCALAR}" if operation.kind is Kind.SET else f"n{token} is not null"
                    found.append(f"(not r{reducer} or {holds})")
        return list(dict.fromkeys(found))

    def _folded(self, reducers: int) -> str:
        """What all events of a key come to: of all together, or up to each where history is kept."""
        history = self._declaration.history
        over = " over w" if history else ""
        columns = []
        for number, operations in enumerate(self._fields.values()):
            columns += [f"{text} as f{number}{name}" for name, text in self._aggregates(operations, over)]
        place = "position, recorded_at" if history else "max(position) as position, max(recorded_at) as recorded_at"
        some = " or ".join(f"r{number}" for number in range(reducers))
        end = "window w as (partition by k order by position)" if history else "group by k"
        return f"select k, {place}, {', '.join(columns)} from source where {some} {end}"

    def _aggregates(self, operations: list[tuple[int, Operation]], over: str) -> list[tuple[str, str]]:
        touched = " or ".join(f"r{reducer}" for reducer, _ in operations)
        match operations[0][1].kind:
            case Kind.SET:
                return [("", f"max(position) filter (where {touched}){over}")]
            case Kind.INCREMENT:
                terms = [f"case when r{r} then {self._number(operation)} else 0 end" for r, operation in operations]
                sizes = " + ".join(f"abs({term})" for term in terms)
                return [
                    ("", f"sum({' + '.join(terms)}) filter (where {touched}){over}"),
                    ("size", f"sum({sizes}) filter (where {touched}){over}"),
                ]
            case Kind.MIN | Kind.MAX as kind:
                choose = "least" if kind is Kind.MIN else "greatest"
                terms = [f"case when r{r} then {self._number(operation)} end" for r, operation in operations]
                return [("", f"{kind.value}({choose}({', '.join(terms)})){over}")]
        raise _Unfit

    def _number(self, operation: Operation) -> str:
        if operation.expression is not None:
            return f"n{self._token(operation.expression)}"
        return f"({int(operation.value)})::bigint"

    def _rows(self, table: str) -> str:
        texts, fits, joins = [], [], []
        for number, (name, operations) in enumerate(self._fields.items()):
            old = f"(o.value::json -> {self._add(name, 'text')})::text"
            text, fit, join = self._combined(number, operations, old)
            texts.append(f"{self._add(_encode(name).decode() + ':', 'text')} || {text}")
            fits.append(fit)
            joins.append(join)
        return f"""
        select f.k as key, f.position, f.recorded_at, o.value as old,
          '{{' || concat_ws(',', {", ".join(texts)}) || '}}' as value, ({" and ".join(fits)}) is true as fits
        from folded f left join {table} o on o.key = f.k {" ".join(joins)}"""

    def _combined(self, number: int, operations: list[tuple[int, Operation]], old: str) -> tuple[str, str, str]:
        """A field's token after the stretch, NULL where it has none; whether it is the fold's; a join it needs."""
        new = f"f.f{number}"
        match operations[0][1].kind:
            case Kind.SET:
                said = " ".join(
                    f"when s{number}.r{r} then {self._said(operation, number)}" for r, operation in operations[::-1]
                )
                join = f"left join source s{number} on s{number}.position = {new}"
                return f"case when {new} is null then {old} else case {said} end end", "true", join
            case Kind.INCREMENT:
                text = f"({new} + coalesce(({old})::numeric, 0))::text"
                safe = f"f.f{number}size + abs(coalesce(({old})::numeric, 0)) < {_SAFE_SUM}"
            case kind:
                choose = "least" if kind is Kind.MIN else "greatest"
                text, safe = f"{choose}({new}, ({old})::numeric)::text", "true"
        whole = f"{old} is null or {old} ~ '^-?[0-9]{{1,19}}$'"
        fit = f"({new} is null or case when {whole} then {safe} else false end)"
        return f"case when {new} is null then {old} when {whole} then {text} end", fit, ""

    def _said(self, operation: Operation, number: int) -> str:
        if operation.expression is not None:
            return f"s{number}.t{self._token(operation.expression)}"
        return self._add(_encode(operation.value).decode(), "text")


def _nodes(tree: Node) -> list[Node]:
    return [tree, *(node for child in children(tree) for node in _nodes(child))]


def _plain_segment(segment: str) -> bool:
    """Whether PostgreSQL and Python go the same way: " 1", "+1" and "-1" count a list's elements for PostgreSQL."""
    return is_index(segment) or not segment.strip().lstrip("+-").isdigit()
