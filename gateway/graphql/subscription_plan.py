"""How a compiled subscription begins: its arguments read once for equal variables, without graphql-core's executor.

What does not coerce is left to graphql-core, which says what is wrong with it.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
)
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from msgspec import Raw

from gateway.graphql.compiled import Items
from gateway.graphql.cost import Measure
from gateway.graphql.request import decode_variables
from gateway.graphql.shape import OperationShape, executed
from resolvers.subscription import Asked
from schema.errors import EsbError

_KEPT = 2048
_SHAPES = 64
_OF_THE_LOG = frozenset({"events", "feed", "eventBatches"})
"""The fields whose items are events and what a feed says between them."""
_MAX_VARIABLE_BYTES = 4096


class Prepared(NamedTuple):
    """What equal variables came to. `cost`: see `gateway.graphql.cost`."""

    asked: Asked
    shape: OperationShape
    cost: int


class SubscriptionPlan:
    """One operation of one subscription field. `field`: its node, for errors."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        node: OperationDefinitionNode,
        field: FieldNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        measure: Measure,
    ) -> None:
        assert schema.subscription_type is not None
        self.field = field
        self._schema = schema
        self._document = document
        self._node = node
        self._definition = schema.subscription_type.fields[field.name.value]
        self._items = Items(schema, node, fragments)
        self._measure = measure
        self._shapes: OrderedDict[bytes, OperationShape | None] = OrderedDict()

    def prepare(self, raw: Raw) -> Prepared | None:
        """What is asked with these variables; None where they do not coerce, or graphql-core must do it. Raises
        BAD_INPUT.
        """
        read = self._read(raw)
        if read is None:
            return None
        variables, values = read
        shape = self._shape(values)
        if shape is None:
            return None
        try:
            arguments = get_argument_values(self._definition, self.field, values)
        except GraphQLError:
            return None
        return Prepared(Asked.of(self.field.name.value, arguments), shape, self._measure.cost(variables))

    def choice(self, raw: Raw) -> bytes | None:
        """Equal for variables that are shown alike; None where they do not coerce."""
        read = self._read(raw)
        return None if read is None else self._items.choice(read[1])

    def _read(self, raw: Raw) -> tuple[dict[str, object], VariableValues] | None:
        try:
            variables = decode_variables(raw)
        except EsbError:
            return None
        values = get_variable_values(self._schema, self._node.variable_definitions or (), variables)
        return None if isinstance(values, list) else (variables, values)

    def _shape(self, values: VariableValues) -> OperationShape | None:
        choice = self._items.choice(values)
        if choice not in self._shapes:
            self._shapes[choice] = self._made(values)
            if len(self._shapes) > _SHAPES:
                self._shapes.popitem(last=False)
        return self._shapes[choice]

    def _made(self, values: VariableValues) -> OperationShape | None:
        encode = self._items.encode(values)
        if encode is None:
            return None
        execute = executed(self._schema, self._document, self._node, values)
        return OperationShape(self.field.name.value, encode, execute)


def plan_subscription(
    schema: GraphQLSchema,
    document: DocumentNode,
    node: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    measure: Measure,
) -> SubscriptionPlan | None:
    """The plan of a validated operation, or None where it is no subscription, or graphql-core must run it."""
    selections = node.selection_set.selections
    if node.operation is not OperationType.SUBSCRIPTION or node.directives or len(selections) != 1:
        return None
    root = selections[0]
    if not isinstance(root, FieldNode) or root.directives or root.selection_set is None:
        return None
    if root.name.value not in _OF_THE_LOG:
        return None
    return SubscriptionPlan(schema, document, node, root, fragments, measure)


class PreparedSubscriptions:
    """Keeps what was prepared lately: many subscribers send the same text with the same variables."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._known: OrderedDict[tuple[SubscriptionPlan, bytes], Prepared] = OrderedDict()

    def get(self, plan: SubscriptionPlan, raw: Raw) -> Prepared | None:
        """See `SubscriptionPlan.prepare`."""
        key = (plan, bytes(raw))
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        prepared = plan.prepare(raw)
        if prepared is not None and len(key[1]) <= _MAX_VARIABLE_BYTES:
            self._known[key] = prepared
            if len(self._known) > self._kept:
                self._known.popitem(last=False)
        return prepared
