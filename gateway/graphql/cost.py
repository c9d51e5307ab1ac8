"""What an operation may cost and how deep it goes, worked out once for each document.

The cost is the number of objects it may return. A connection's size multiplies its lists (`nodes`, `edges`), not what
stands beside them; lists without a size count once; what @skip and @include leave out is counted all the same.

Fragments are measured once each and referred to, or a few of them spreading one another twice would take for ever.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

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
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_object_type,
)
from graphql.type import is_interface_type

_MAX_COUNTED = 10**9
# arguments that say how long the lists below a field are
_SIZES = frozenset({"first", "maxEvents"})


class Measure:
    """A selection set measured: its depth, and what it costs for given variables. `defaults`: of an operation's
    variables."""

    def __init__(self, depth: int, parts: list["_Field | Measure"], defaults: Mapping[str, Any] | None = None) -> None:
        self.depth = depth
        self._parts = parts
        self._defaults = defaults or {}

    def cost(self, variables: Mapping[str, Any]) -> int:
        """Objects the selection may return; `variables` decide about list sizes."""
        return sum(self.weigh({**self._defaults, **variables} if self._defaults else variables, {}))

    def weigh(self, variables: Mapping[str, Any], known: dict[int, "_Weight"]) -> "_Weight":
        """The same, apart: what comes once, and what comes with each item of the connection it is selected of."""
        weight = known.get(id(self))
        if weight is None:
            once = each = 0
            for part in self._parts:
                if isinstance(part, Measure):
                    below = part.weigh(variables, known)
                    once, each = once + below.once, each + below.each
                elif part.listed:
                    each += part.cost(variables, known)
                else:
                    once += part.cost(variables, known)
            weight = known[id(self)] = _Weight(min(once, _MAX_COUNTED), min(each, _MAX_COUNTED))
        return weight


class _Weight(NamedTuple):
    once: int
    each: int


class _Field:
    """A field that returns objects. `size`: how many items the lists below it have, a number or the variable that says
    it. `default`: where that is null. `listed`: it is such a list."""

    def __init__(self, size: int | str, default: int, below: Measure, listed: bool) -> None:
        self.listed = listed
        self._size = size
        self._default = default
        self._below = below

    def cost(self, variables: Mapping[str, Any], known: dict[int, _Weight]) -> int:
        many = variables.get(self._size) if isinstance(self._size, str) else self._size
        if isinstance(many, float) and many.is_integer():
            many = int(many)  # GraphQL takes 10.0 for an Int
        if isinstance(many, bool) or not isinstance(many, int) or many < 0:
            many = self._default  # null; or refused later, by name
        once, each = self._below.weigh(variables, known)
        return 1 + once + many * each


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
        measure = self._selection(node.selection_set, self._schema.get_root_type(node.operation))
        return Measure(measure.depth, [measure], defaults)

    def _selection(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> Measure:
        depth, parts = 0, list[_Field | Measure]()
        for selection in node.selections:
            if isinstance(selection, FieldNode):
                below, field = self._field(selection, parent)
                depth = max(depth, below)
                parts.extend(field)
                continue
            measure = self._fragment(selection, parent)
            depth = max(depth, measure.depth)
            parts.append(measure)
        return Measure(depth, parts)

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> tuple[int, Iterable[_Field]]:
        name = node.name.value
        if name.startswith("__") or not (is_object_type(parent) or is_interface_type(parent)):
            return (0 if name.startswith("__") else 1), ()
        field = parent.fields[name]
        kind = get_named_type(field.type)
        if is_leaf_type(kind) or node.selection_set is None:
            return 1, ()
        below = self._selection(node.selection_set, kind)
        size, default = _how_many(node, field.args)
        listed = is_list_type(get_nullable_type(field.type))
        return 1 + below.depth, (_Field(size, default, below, listed),)

    def _fragment(self, node: Any, parent: GraphQLNamedType | None) -> Measure:
        if isinstance(node, InlineFragmentNode):
            on = node.type_condition
            kind = self._schema.get_type(on.name.value) if on else parent
            return self._selection(node.selection_set, kind)
        assert isinstance(node, FragmentSpreadNode)
        name = node.name.value
        if name not in self._measured:
            fragment = self._fragments[name]
            kind = self._schema.get_type(fragment.type_condition.name.value)
            self._measured[name] = self._selection(fragment.selection_set, kind)
        return self._measured[name]


def _how_many(node: FieldNode, arguments: Mapping[str, GraphQLArgument]) -> tuple[int | str, int]:
    """The size a field's argument gives to the lists below it, and what counts where it is null."""
    for sizing in _SIZES & arguments.keys():
        declared = arguments[sizing].default_value
        default = declared if isinstance(declared, int) else 1
        for argument in node.arguments or ():
            if argument.name.value == sizing:
                if isinstance(argument.value, IntValueNode):
                    return int(argument.value.value), default
                if isinstance(argument.value, VariableNode):
                    return argument.value.name.value, default
        return default, default
    return 1, 1


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
