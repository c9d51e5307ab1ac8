"""What an operation may cost and how deep it goes, worked out once for each document.

Fragments are measured once each and referred to, or a few of them spreading one another twice would take for ever.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    is_object_type,
)
from graphql.type import is_interface_type

_MAX_COUNTED = 10**9


class Measure:
    """A selection set measured: its depth, and what it costs for given variables."""

    def __init__(self, depth: int, parts: list["_Field | Measure"]) -> None:
        self.depth = depth
        self._parts = parts

    def cost(self, variables: Mapping[str, Any], known: dict[int, int] | None = None) -> int:
        """Objects the selection may return; `variables` decide about list sizes."""
        known = {} if known is None else known
        if id(self) not in known:
            total = sum(part.cost(variables, known) for part in self._parts)
            known[id(self)] = min(total, _MAX_COUNTED)
        return known[id(self)]


class _Field:
    """A field that returns objects. `first`: how many, a number or the name of the variable that says it."""

    def __init__(self, first: int | str, default: int, below: Measure) -> None:
        self._first = first
        self._default = default
        self._below = below

    def cost(self, variables: Mapping[str, Any], known: dict[int, int]) -> int:
        many = variables.get(self._first, self._default) if isinstance(self._first, str) else self._first
        if isinstance(many, bool) or not isinstance(many, int) or many < 0:
            many = self._default  # refused later, by name
        return 1 + many * self._below.cost(variables, known)


class Meter:
    """Measures the operations of one document."""

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments
        self._measured: dict[str, Measure] = {}

    def operation(self, node: OperationDefinitionNode) -> Measure:
        """The measure of a validated operation."""
        defaults = {
            definition.variable.name.value: int(definition.default_value.value)
            for definition in node.variable_definitions or ()
            if isinstance(definition.default_value, IntValueNode)
        }
        return self._selection(node.selection_set, self._schema.get_root_type(node.operation), defaults)

    def _selection(
        self, node: SelectionSetNode, parent: GraphQLNamedType | None, defaults: Mapping[str, int]
    ) -> Measure:
        depth, parts = 0, list[_Field | Measure]()
        for selection in node.selections:
            if isinstance(selection, FieldNode):
                below, field = self._field(selection, parent, defaults)
                depth = max(depth, below)
                parts.extend(field)
                continue
            measure = self._fragment(selection, parent, defaults)
            depth = max(depth, measure.depth)
            parts.append(measure)
        return Measure(depth, parts)

    def _field(
        self, node: FieldNode, parent: GraphQLNamedType | None, defaults: Mapping[str, int]
    ) -> tuple[int, Iterable[_Field]]:
        name = node.name.value
        if name.startswith("__") or not (is_object_type(parent) or is_interface_type(parent)):
            return (0 if name.startswith("__") else 1), ()
        field = parent.fields[name]
        kind = get_named_type(field.type)
        if is_leaf_type(kind) or node.selection_set is None:
            return 1, ()
        below = self._selection(node.selection_set, kind, defaults)
        first, default = _how_many(node, field.args, defaults)
        return 1 + below.depth, (_Field(first, default, below),)

    def _fragment(self, node: Any, parent: GraphQLNamedType | None, defaults: Mapping[str, int]) -> Measure:
        if isinstance(node, InlineFragmentNode):
            on = node.type_condition
            kind = self._schema.get_type(on.name.value) if on else parent
            return self._selection(node.selection_set, kind, defaults)
        assert isinstance(node, FragmentSpreadNode)
        name = node.name.value
        if name not in self._measured:
            fragment = self._fragments[name]
            kind = self._schema.get_type(fragment.type_condition.name.value)
            self._measured[name] = self._selection(fragment.selection_set, kind, defaults)
        return self._measured[name]


def _how_many(
    node: FieldNode, arguments: Mapping[str, GraphQLArgument], defaults: Mapping[str, int]
) -> tuple[int | str, int]:
    if "first" not in arguments:
        return 1, 1
    declared = arguments["first"].default_value
    default = declared if isinstance(declared, int) else 1
    for argument in node.arguments or ():
        if argument.name.value == "first":
            if isinstance(argument.value, IntValueNode):
                return int(argument.value.value), default
            if isinstance(argument.value, VariableNode):
                name = argument.value.name.value
                return name, defaults.get(name, default)
    return default, default


def aliases(selections: Iterable[SelectionSetNode]) -> int:
    """How many fields are renamed."""
    count, todo = 0, list(selections)
    while todo:
        for selection in todo.pop().selections:
            count += isinstance(selection, FieldNode) and selection.alias is not None
            below = getattr(selection, "selection_set", None)
            if below is not None:
                todo.append(below)
    return count
