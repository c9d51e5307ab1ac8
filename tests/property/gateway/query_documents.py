"""Queries made up from the schema: any field, argument, alias, fragment and directive; variables right and wrong."""

from typing import Any

from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument
from hypothesis import strategies as st

from resolvers.schema import graphql_schema

ROOTS = ("event", "events", "correlation", "streams", "stream", "routes", "node", "__typename")
_LITERALS: dict[str, list[str]] = {
    "Int": ["1", "2", "3", "50", "0", "-1", "null", "1001"],
    "String": ['"a"', '"user-events"', '"payload.a"', '"metadata"', '"nothing"', '""'],
    "ID": ['"evt_1"', '"evt_2"', '"evt_9"', '"str_1"', '"rte_1"', "7"],
    "Cursor": ['"cursor"'],
    "Order": ["ASC", "DESC", "null"],
    "[String!]": ['["user-events"]', '"user-events"', "[]", "null"],
    "EventFilter": [
        '{ eventType: { eq: "user.created" } }',
        '{ and: [{ sequenceNumber: { gte: 1 } }, { not: { payload: [{ path: "a", eq: { b: [1] } }] } }] }',
        '{ expression: "not an expression (" }',
        "{}",
        "null",
    ],
}
_VALUES: dict[str, list[Any]] = {
    "Int": [1, 2, 50, 0, -1, None, 2**40, "1", 1.0, True],
    "String": ["a", "payload.a", "user-events", None, 1],
    "ID": ["evt_1", "evt_2", "str_1", 7, None, True, 1.0],
    "Cursor": ["cursor", None, 1],
    "Order": ["ASC", "DESC", None, "asc"],
    "[String!]": [["user-events"], "user-events", [], None, [None], [1]],
    "EventFilter": [
        {"eventType": {"eq": "user.created"}},
        {"recordedAt": {"gte": "2026-01-01T00:00:00Z"}, "payload": [{"path": "a", "in": [1, None, {"b": 2}]}]},
        {"or": [{"eventType": {"in": ["x"]}}, {"not": {"userId": {"exists": True}}}]},
        {"nonsense": 1},
        {"recordedAt": {"gte": "yesterday"}},
        None,
    ],
    "Boolean": [True, False, True, False, None, "yes"],
}


class Written:
    """One document being written."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.variables: dict[str, Any] = {}
        self._declared: list[str] = []
        self._fragments: list[str] = []
        self._aliases = 0

    def document(self) -> str:
        root = graphql_schema().query_type
        assert root is not None
        selection = self._selection(root, 3, list(self.draw(st.lists(st.sampled_from(ROOTS), min_size=1, max_size=2))))
        head = f"query({', '.join(self._declared)})" if self._declared else "query"
        return " ".join([head, selection, *self._fragments])

    def _selection(self, kind: GraphQLObjectType | GraphQLInterfaceType, depth: int, names: list[str]) -> str:
        parts = [self._field(kind, name, depth) for name in names] or ["__typename"]
        if not self._rarely():
            return f"{{ {' '.join(parts)} }}"
        cut = self.draw(st.integers(0, len(parts) - 1))
        return f"{{ {' '.join(parts[:cut])} {self._fragment(kind, parts[cut:])} }}"

    def _fragment(self, kind: Any, parts: list[str]) -> str:
        inner = f"{{ {' '.join(parts)} }}"
        match self.draw(st.integers(0, 2)):
            case 0:
                return f"...{self._directive()} {inner}"
            case 1:
                return f"... on {kind.name}{self._directive()} {inner}"
        name = f"f{len(self._fragments)}"
        self._fragments.append(f"fragment {name} on {kind.name} {inner}")
        again = f" ...{name}" if self._rarely() else ""
        return f"...{name}{self._directive()}{again}"

    def _below(self, kind: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        if isinstance(kind, GraphQLInterfaceType):
            possible = self.draw(st.sampled_from(graphql_schema().get_possible_types(kind)))
            return f"{{ id __typename ... on {possible.name} {self._below(possible, depth)} }}"
        known = [name for name, field in kind.fields.items() if depth > 0 or is_leaf_type(get_named_type(field.type))]
        names = self.draw(st.lists(st.sampled_from([*known, "__typename"]), max_size=4))
        return self._selection(kind, depth - 1, names)

    def _field(self, kind: Any, name: str, depth: int) -> str:
        if name == "__typename":
            return f"{self._alias()}__typename{self._directive()}"
        field = kind.fields[name]
        arguments = [self._argument(key, argument) for key, argument in field.args.items()]
        listed = ", ".join(argument for argument in arguments if argument)
        said = f"({listed})" if listed else ""
        inside = get_named_type(field.type)
        below = "" if is_leaf_type(inside) else f" {self._below(inside, depth)}"
        # the same field said twice is merged; with other arguments that would be invalid
        alias = self._alias() if not field.args else self._alias(always=True)
        return f"{alias}{name}{said}{self._directive()}{below}"

    def _argument(self, name: str, argument: Any) -> str | None:
        if not is_required_argument(argument) and self.draw(st.booleans()):
            return None
        kind = str(argument.type).rstrip("!") if not str(argument.type).startswith("[") else "[String!]"
        if self.draw(st.booleans()):
            return f"{name}: {self.draw(st.sampled_from(_LITERALS[kind]))}"
        if kind == "EventFilter" and self._rarely():
            return f"{name}: {{ eventType: {{ eq: {self._variable('String', str(argument.type))} }} }}"
        return f"{name}: {self._variable(kind, str(argument.type))}"

    def _variable(self, kind: str, wanted: str) -> str:
        name = f"v{len(self._declared)}"
        default = ""
        if not wanted.endswith("!") and self._rarely():
            default = f" = {self.draw(st.sampled_from(_LITERALS[kind]))}"
        self._declared.append(f"${name}: {kind}{'!' if wanted.endswith('!') else ''}{default}")
        values = _VALUES[kind]
        if self.draw(st.integers(0, 9)):
            # mostly right: the first values of each list are
            self.variables[name] = values[
                self.draw(st.integers(0, 2 if self.draw(st.integers(0, 9)) else len(values) - 1))
            ]
        return f"${name}"

    def _directive(self) -> str:
        if not self._rarely():
            return ""
        said = self.draw(st.sampled_from(["true", "false", "$"]))
        if said == "$":
            said = f"$v{len(self._declared)}"
            self._declared.append(f"{said}: Boolean!")
            self.variables[said[1:]] = _VALUES["Boolean"][self.draw(st.integers(0, 5 if self._rarely() else 3))]
        return f" @{self.draw(st.sampled_from(['skip', 'include']))}(if: {said})"

    def _alias(self, always: bool = False) -> str:
        if not always and self.draw(st.booleans()):
            return ""
        self._aliases += 1
        return f"a{self._aliases}: "

    def _rarely(self) -> bool:
        return self.draw(st.integers(0, 5)) == 0


@st.composite
def queries(draw: st.DrawFn) -> dict[str, Any]:
    """A request: mostly valid."""
    written = Written(draw)
    return {"query": written.document(), "variables": written.variables}
