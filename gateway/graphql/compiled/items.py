"""What a subscription selects of its items, compiled for each choice of the variables that the selection names."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues

from gateway.graphql.compiled.objects import Selections
from gateway.graphql.compiled.run import Info, Run, Unfit

Encode = Callable[[Any], bytes]
"""An item as a whole response. Raises what graphql-core would make an error of that item's response of."""

_encoder = msgspec.json.Encoder()


class Items:
    """The items of one operation. Their messages depend on the variables its selection names, and on no others."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = {name: FragmentDetails(definition) for name, definition in fragments.items()}
        self._names = sorted(_variables(operation, fragments))

    def choice(self, values: VariableValues) -> bytes:
        """What of the variables decides about the messages: equal choices make equal messages."""
        coerced = values.coerced
        return _encoder.encode([[name, coerced[name]] for name in self._names if name in coerced])

    def encode(self, values: VariableValues) -> Encode | None:
        """How items become messages with these variables; None where graphql-core must do it."""
        selections = Selections(self._schema, self._operation, self._fragments, values)
        try:
            key, complete = selections.subscription()
        except Unfit:
            return None
        info, coerced, variables = _NO_INFO, values.coerced, values

        def encode(item: Any) -> bytes:
            return _encoder.encode({"data": {key: complete(item, Run(info, coerced, variables))}})

        return encode


class _NoInfo(Info):
    """Nothing that is compiled here asks for its context: it would be somebody's."""

    def __init__(self) -> None: ...


_NO_INFO = _NoInfo()


def _variables(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> set[str]:
    found = _FindVariables()
    for node in operation.selection_set.selections:
        for directive in node.directives or ():
            visit(directive, found)
        if isinstance(node, FieldNode) and node.selection_set is not None:
            visit(node.selection_set, found)  # and not its arguments, which are asked, not shown
        elif not isinstance(node, FieldNode):
            visit(node, found)
    for fragment in fragments.values():
        visit(fragment, found)
    return found.names


class _FindVariables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.add(node.name.value)
