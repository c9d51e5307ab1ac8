"""How a compiled subscription begins: its arguments read once for equal variables, without graphql-core's executor.

What does not coerce is left to graphql-core, which says what is wrong with it.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
)
from graphql.execution.values import get_argument_values, get_variable_values
from msgspec import Raw

from gateway.graphql.cost import Measure
from gateway.graphql.request import decode_variables
from gateway.graphql.selection import ItemEncoder, compile_subscription
from gateway.graphql.shape import OperationShape
from resolvers.subscription import Asked
from schema.errors import EsbError

_KEPT = 2048
_MAX_VARIABLE_BYTES = 4096


class Prepared(NamedTuple):
    """What equal variables came to. `cost`: see `gateway.graphql.cost`."""

    asked: Asked
    cost: int


class SubscriptionPlan:
    """One operation of one subscription field. `field` and `key`: its node and response name, for errors."""

    def __init__(self, schema: GraphQLSchema, node: OperationDefinitionNode, measure: Measure, encode: ItemEncoder):
        field = node.selection_set.selections[0]
        assert isinstance(field, FieldNode)
        assert schema.subscription_type is not None
        self.field = field
        self.key = (field.alias or field.name).value
        self.shape = OperationShape(field.name.value, encode)
        self._schema = schema
        self._definition = schema.subscription_type.fields[field.name.value]
        self._variables = node.variable_definitions or ()
        self._measure = measure

    def prepare(self, raw: Raw) -> Prepared | None:
        """What is asked with these variables; None where they do not coerce. Raises BAD_INPUT."""
        try:
            variables = decode_variables(raw)
        except EsbError:
            return None
        values = get_variable_values(self._schema, self._variables, variables)
        if isinstance(values, list):
            return None
        try:
            arguments = get_argument_values(self._definition, self.field, values)
        except GraphQLError:
            return None
        return Prepared(Asked.of(self.field.name.value, arguments), self._measure.cost(variables))


def plan_subscription(
    schema: GraphQLSchema,
    node: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    measure: Measure,
) -> SubscriptionPlan | None:
    """The plan of a validated operation, or None where it is no subscription, or graphql-core must run it."""
    if node.operation is not OperationType.SUBSCRIPTION:
        return None
    encode = compile_subscription(node, fragments)
    return None if encode is None else SubscriptionPlan(schema, node, measure, encode)


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
