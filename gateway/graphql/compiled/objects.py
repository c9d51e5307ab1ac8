"""Selections of objects as closures: which fields, under which names, read how, completed into what.

Which fields a selection comes to is graphql-core's own collection (fragments, merged selections, @skip and @include),
run once for each choice of the variables that directives name, and not once for each object of each answer.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    is_leaf_type,
)
from graphql.execution.collect_fields import (
    FieldDetailsList,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues
from strawberry.types.field import StrawberryField

from gateway.graphql.compiled.arguments import Arguments, arguments
from gateway.graphql.compiled.leaves import exact_types, leaf
from gateway.graphql.compiled.run import Pending, Run, Unfit
from schema.graphql.event import EVENT_FIELDS, EventFields, event_field

Read = Callable[[Any, Run], Any]

# an operation spells out at most so many fields here; fragments that spread one another come to more than they look
MAX_FIELDS = 1000


class Asked(NamedTuple):
    """A field whose resolver is a coroutine: how it is called, and how its answer is completed."""

    call: Read
    complete: Read


class Plain(NamedTuple):
    """A leaf that is read and passed on as it is, if it is of one of the types: most fields, without a call each."""

    get: Callable[[Any], Any]
    types: frozenset[type]


class Selections:
    """The selections of one operation, for one choice of the variables its directives name."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDetails],
        variables: VariableValues,
    ) -> None:
        self.needs_sources = False
        self._asks = False
        self._schema = schema
        self._operation = operation
        self._fragments = dict(fragments)
        self._variables = variables
        self._fields = 0

    def root(self) -> tuple[GroupedFieldSet, Read]:
        """What is selected of Query, and how it is read of nothing. Raises Unfit for what is not plain."""
        kind = self._schema.query_type
        assert kind is not None
        collected = collect_fields(self._schema, self._fragments, self._variables, kind, self._operation)
        return collected.grouped_field_set, self._object(kind, collected.grouped_field_set, None)

    def subscription(self) -> tuple[str, Read]:
        """The response name of the one field selected of Subscription, and how each of its items is completed. Raises
        Unfit for what is not plain, and where something would have to be waited for.
        """
        kind = self._schema.subscription_type
        assert kind is not None
        collected = collect_fields(self._schema, self._fragments, self._variables, kind, self._operation)
        if len(collected.grouped_field_set) != 1:
            raise Unfit
        ((key, details),) = collected.grouped_field_set.items()
        complete = self._complete(kind.fields[details[0].node.name.value].type, details)
        if self._asks:
            raise Unfit
        return key, complete

    def _object(self, kind: GraphQLObjectType, selected: GroupedFieldSet, python: type | None) -> Read:
        self._fields += len(selected)
        if self._fields > MAX_FIELDS:
            raise Unfit
        made = {key: self._field(kind, details) for key, details in selected.items()}
        reads = [(key, *_reading(field)) for key, field in made.items()]
        asked = [(key, field.call, field.complete) for key, field in made.items() if isinstance(field, Asked)]

        def build(source: Any, run: Run) -> Any:
            if python is not None and type(source) is not python:
                raise Unfit
            found = {}
            for key, get, types, read in reads:
                if types is None:
                    found[key] = read(source, run)
                    continue
                value = found[key] = get(source)
                if type(value) not in types:
                    raise Unfit
            return found

        def build_and_ask(source: Any, run: Run) -> Any:
            holder = build(source, run)
            for key, call, complete in asked:
                run.pending.append(Pending(holder, key, call(source, run), complete))
            return holder

        return build_and_ask if asked else build

    def _field(self, kind: GraphQLObjectType, details: FieldDetailsList) -> Read | Asked | Plain:
        node = details[0].node
        name = node.name.value
        if name == "__typename":
            return _always(kind.name)
        field = kind.fields.get(name)
        if field is None:
            raise Unfit(name)  # introspection
        said: StrawberryField = field.extensions["strawberry-definition"]
        if said.extensions:
            raise Unfit(name)
        if said.base_resolver is None:
            return self._read(kind, said.python_name, field, details)
        read, needs_sources = arguments(self._schema, field, node)
        self.needs_sources |= needs_sources
        call, complete = _call(said, read), self._complete(field.type, details)
        if said.base_resolver.is_async:
            self._asks = True
            return Asked(call, complete)
        return lambda source, run: complete(call(source, run), run)

    def _read(self, kind: GraphQLObjectType, name: str, field: GraphQLField, details: FieldDetailsList) -> Read | Plain:
        python = _python(kind)
        get = event_field(name) if issubclass(python, EventFields) and name in EVENT_FIELDS else attrgetter(name)
        wanted, nullable = _nullable(field.type)
        if is_leaf_type(wanted):
            types = exact_types(wanted, nullable)
            if types is not None:
                return Plain(get, types)
            check = leaf(wanted, nullable)
            return lambda source, run: check(get(source))
        complete = self._complete(field.type, details)
        return lambda source, run: complete(get(source), run)

    def _complete(self, kind: GraphQLOutputType, details: FieldDetailsList) -> Read:
        """How values of a type are completed; what may not be null is `Unfit` if it is."""
        kind, nullable = _nullable(kind)
        if is_leaf_type(kind):
            check = leaf(kind, nullable)
            return lambda value, run: check(value)
        present = self._present(kind, details)
        if nullable:
            return lambda value, run: None if value is None else present(value, run)
        return present

    def _present(self, kind: GraphQLOutputType, details: FieldDetailsList) -> Read:
        if isinstance(kind, GraphQLList):
            return _each(self._complete(kind.of_type, details))
        if isinstance(kind, GraphQLObjectType):
            checked = _python(kind) if kind.is_type_of is not None else None
            return self._object(kind, self._below(kind, details), checked)
        if isinstance(kind, GraphQLInterfaceType):
            possible = self._schema.get_possible_types(kind)
            return _of_type({_python(one): self._object(one, self._below(one, details), None) for one in possible})
        raise Unfit(str(kind))

    def _below(self, kind: GraphQLObjectType, details: FieldDetailsList) -> GroupedFieldSet:
        found = collect_subfields(self._schema, self._fragments, self._variables, self._operation, kind, details)
        return found.grouped_field_set


def _nullable(kind: GraphQLOutputType) -> tuple[GraphQLOutputType, bool]:
    return (kind.of_type, False) if isinstance(kind, GraphQLNonNull) else (kind, True)


def _python(kind: GraphQLObjectType) -> type:
    origin: type = kind.extensions["strawberry-definition"].origin
    return origin


def _call(said: StrawberryField, read: Arguments) -> Read:
    resolver = said.base_resolver
    assert resolver is not None
    if resolver.parent_parameter or resolver.root_parameter or not resolver.self_parameter:
        raise Unfit(said.python_name)
    function: Any = resolver.wrapped_func
    if resolver.info_parameter is None:
        return lambda source, run: function(source, **read(run))
    info = resolver.info_parameter.name
    return lambda source, run: function(source, **{info: run.info}, **read(run))


def _reading(field: Read | Asked | Plain) -> tuple[Callable[[Any], Any], frozenset[type] | None, Read]:
    """How a field is read: as a leaf where its types are said, else by the last."""
    if isinstance(field, Plain):
        return field.get, field.types, _later
    return _nothing, None, _later if isinstance(field, Asked) else field


def _nothing(source: Any) -> None:
    return None


def _always(value: Any) -> Read:
    return lambda source, run: value


def _later(source: Any, run: Run) -> None:
    return None


def _each(complete: Read) -> Read:
    def build(values: Any, run: Run) -> list[Any]:
        if type(values) not in (list, tuple):
            raise Unfit
        return [complete(value, run) for value in values]

    return build


def _of_type(builds: Mapping[type, Read]) -> Read:
    def build(value: Any, run: Run) -> Any:
        found = builds.get(type(value))
        if found is None:
            raise Unfit
        return found(value, run)

    return build
