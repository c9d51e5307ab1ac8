"""How a compiled subscription's items become messages: one shape for all who mean the same.

An item that the closures cannot complete (a path that is none, say) is graphql-core's, which makes an error of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from graphql import DocumentNode, ExecutionResult, GraphQLSchema, OperationDefinitionNode, Undefined
from graphql.execution import execute_subscription_event
from graphql.execution.executor import Executor
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.execution.values import VariableValues

from gateway.graphql.compiled import Encode
from gateway.graphql.errors import formatted_all
from processors.live.items import Delivered, Item
from processors.live.shape import Message, Sign
from resolvers.event import Event
from resolvers.subscription import batch_of, item_of

Write = Callable[[Sequence[Item], Sign, bool], list[Message]]

_encoder = msgspec.json.Encoder()


class OperationShape:
    """Equal to itself only. `field`: the subscription field that is selected; `encode`, and where that raises
    `execute`: an item of it as a whole response.
    """

    __slots__ = ("_encode", "_execute", "_write")

    def __init__(self, field: str, encode: Encode, execute: Encode) -> None:
        self._encode = encode
        self._execute = execute
        self._write: Write = {"events": self._events, "feed": self._feed, "eventBatches": self._batch}[field]

    def messages(self, items: Sequence[Item], sign: Sign, *, caught_up: bool) -> list[Message]:
        """See `processors.live.shape.Shape`."""
        return self._write(items, sign, caught_up)

    def encode(self, item: Any) -> bytes:
        """An item, as GraphQL shows it, as a whole response."""
        try:
            return self._encode(item)
        except Exception:  # whatever it was: graphql-core meets it again, and says what is wrong in the response
            return self._execute(item)

    def _events(self, items: Sequence[Item], sign: Sign, _caught_up: bool) -> list[Message]:
        return [
            Message(self.encode(Event(item.event, item.cursor, sign)), item.cursor)
            for item in items
            if isinstance(item, Delivered)
        ]

    def _feed(self, items: Sequence[Item], sign: Sign, _caught_up: bool) -> list[Message]:
        return [Message(self.encode(item_of(item, sign)), item.cursor) for item in items]

    def _batch(self, items: Sequence[Item], sign: Sign, caught_up: bool) -> list[Message]:
        return [Message(self.encode(batch_of(items, sign, caught_up)), items[-1].cursor)]


def executed(
    schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode, values: VariableValues
) -> Encode:
    """How graphql-core makes a response of an item, where nothing has to be waited for."""

    def execute(item: Any) -> bytes:
        executor = ExecutorThrowingOnIncremental.build(
            schema,
            document,
            raw_variable_values={
                name: source.value for name, source in values.sources.items() if source.value is not Undefined
            },
            operation_name=node.name.value if node.name else None,
        )
        assert isinstance(executor, Executor)
        result = execute_subscription_event(executor.build_per_event_executor(item))
        assert isinstance(result, ExecutionResult)
        return response(result)

    return execute


def response(result: ExecutionResult) -> bytes:
    """What graphql-core made of an item, as a whole response."""
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        body["errors"] = formatted_all(result.errors)
    return _encoder.encode(body)
