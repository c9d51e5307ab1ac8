"""Variables and arguments: what can be known of them from the document is worked out once.

Only values that graphql-core would take are taken; for any other its own coercion says what is wrong with it.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLInputType,
    GraphQLSchema,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_argument_values,
    get_nullable_type,
    is_non_null_type,
    type_from_ast,
    visit,
)
from graphql.execution.values import VariableValues, get_variable_values, input_is_nested_too_deeply
from graphql.utilities import coerce_input_value
from strawberry.types.arguments import StrawberryArgument, convert_argument

from gateway.graphql.compiled.run import Run, Unfit

Arguments = Callable[[Run], dict[str, Any]]

_PLAIN: dict[str, type] = {"String": str, "ID": str, "Boolean": bool, "Cursor": str}
# converting these is leaving them as they are: only lists and input objects become something else
_AS_THEY_ARE = (str, int, type(None), Enum)


class Variables:
    """The variables of one operation."""

    def __init__(self, schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode]) -> None:
        self._schema = schema
        self._definitions = definitions
        self._each = [_Variable(schema, definition) for definition in definitions]

    def coerced(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """The values by name, as graphql-core coerces them; raises Unfit where it would refuse one."""
        values: dict[str, Any] = {}
        for variable in self._each:
            value = variable.value(said.get(variable.name, Undefined))
            if value is not Undefined:
                values[variable.name] = value
        return values

    def full(self, said: Mapping[str, Any]) -> VariableValues:
        """The same with the sources that literals around variables need."""
        values = get_variable_values(self._schema, self._definitions, dict(said))
        if not isinstance(values, VariableValues):
            raise Unfit
        return values


class _Variable:
    def __init__(self, schema: GraphQLSchema, definition: VariableDefinitionNode) -> None:
        kind: Any = type_from_ast(schema, definition.type)
        self.name = definition.variable.name.value
        self._kind: GraphQLInputType = kind
        self._plain = _PLAIN.get(str(get_nullable_type(kind)))
        alone = get_variable_values(schema, [definition], {})
        self._default = alone.coerced.get(self.name, Undefined) if isinstance(alone, VariableValues) else Undefined
        self._needed = is_non_null_type(kind) and self._default is Undefined

    def value(self, said: Any) -> Any:
        """Undefined where the variable has no value."""
        if type(said) is self._plain:
            return said
        if said is Undefined:
            if self._needed:
                raise Unfit
            return self._default
        if input_is_nested_too_deeply(said, self._kind):
            raise Unfit
        try:
            value = coerce_input_value(said, self._kind)
        except (GraphQLError, RecursionError):
            raise Unfit from None
        if value is Undefined:
            raise Unfit
        return value


def arguments(schema: GraphQLSchema, field: GraphQLField, node: FieldNode) -> tuple[Arguments, bool]:
    """The keyword arguments of a field's resolver, and whether `Run.variables` is needed for them."""
    declared: Sequence[StrawberryArgument] = field.extensions["strawberry-definition"].arguments
    convert = _Converter(schema, declared)
    said = {argument.name.value: argument.value for argument in node.arguments or ()}
    direct = {name: value.name.value for name, value in said.items() if isinstance(value, VariableNode)}
    if not any(_mentions_variables(value) for value in said.values()):
        constant = convert(get_argument_values(field, node, VariableValues({}, {})))
        return (lambda run: constant), False
    if any(name not in direct and _mentions_variables(value) for name, value in said.items()):
        return (lambda run: convert(_got(field, node, run))), True
    return _direct(field, node, direct, convert), False


def _direct(field: GraphQLField, node: FieldNode, direct: Mapping[str, str], convert: "_Converter") -> Arguments:
    """Where each argument is a variable or constant, a variable without a value is an argument that was left out."""
    rest = FieldNode(name=node.name, arguments=tuple(a for a in node.arguments or () if a.name.value not in direct))
    optional = {name: argument for name, argument in field.args.items() if not is_non_null_type(argument.type)}
    taken = GraphQLField(field.type, args={**optional, **{name: field.args[name] for name in _names(rest)}})
    constant = get_argument_values(taken, rest, VariableValues({}, {}))
    given = [(name, variable, is_non_null_type(field.args[name].type)) for name, variable in direct.items()]

    def read(run: Run) -> dict[str, Any]:
        values = dict(constant)
        for name, variable, needed in given:
            if variable in run.coerced:
                value = values[name] = run.coerced[variable]
                if value is None and needed:
                    raise Unfit
            elif needed:
                raise Unfit
        return convert(values)

    return read


def _names(node: FieldNode) -> list[str]:
    return [argument.name.value for argument in node.arguments or ()]


def _got(field: GraphQLField, node: FieldNode, run: Run) -> dict[str, Any]:
    try:
        return get_argument_values(field, node, run.variables)
    except GraphQLError:
        raise Unfit from None


class _Converter:
    """From graphql-core's values to those Strawberry's resolvers take."""

    def __init__(self, schema: GraphQLSchema, declared: Sequence[StrawberryArgument]) -> None:
        made = schema._strawberry_schema  # type: ignore[attr-defined]
        self._config, self._scalars = made.config, made.schema_converter.scalar_registry
        name_of = self._config.name_converter.from_argument
        self._declared = {name_of(argument): (argument.python_name, argument.type) for argument in declared}

    def __call__(self, values: Mapping[str, Any]) -> dict[str, Any]:
        converted = {}
        for name, value in values.items():
            python_name, kind = self._declared[name]
            if not isinstance(value, _AS_THEY_ARE):
                value = convert_argument(value, kind, self._scalars, self._config, path=(name,))
            converted[python_name] = value
        return converted


def _mentions_variables(node: Any) -> bool:
    found = _FindVariables()
    visit(node, found)
    return found.any


class _FindVariables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.any = False

    def enter_variable(self, *_: Any) -> None:
        self.any = True
