"""A running subscription: items of the log in, messages out."""

from collections.abc import AsyncIterable
from typing import Any, NamedTuple, Self

import msgspec
from graphql import ExecutionResult, located_error
from graphql.execution import execute_subscription_event
from graphql.execution.executor import Executor

from gateway.graphql.documents import Operation
from gateway.graphql.errors import formatted, formatted_all
from processors.live.subscription import Draining
from resolvers.context import Context
from schema.cursor import Cursor

_encoder = msgspec.json.Encoder()


class Next(NamedTuple):
    """One message. `body`: a GraphQL response that ends in `}`. `place`: where to go on after it."""

    body: bytes
    place: Cursor

    def with_cursor(self, cursor: str) -> bytes:
        """The same response with `extensions.cursor`."""
        return self.body[:-1] + b',"extensions":{"cursor":"' + cursor.encode() + b'"}}'


class Ended(Exception):
    """The subscription ended by a failure. `errors`: as a response says them."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors

    @property
    def body(self) -> bytes:
        """The response that says so."""
        return _encoder.encode({"errors": self.errors})


class Following:
    """Iterates over messages; must be closed. Raises Ended, and Draining when the process goes away."""

    def __init__(self, source: AsyncIterable[Any], executor: Executor[Any], operation: Operation) -> None:
        self._source = source
        self._items = source.__aiter__()
        self._executor = executor
        self._encode = operation.items
        self._root = operation.node.selection_set.selections[0]
        self._context: Context = executor.context_value

    def sign(self, place: Cursor) -> str:
        """The place as a cursor of the caller's tenant."""
        return self._context.sign(place)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Next:
        try:
            item = await self._items.__anext__()
            body = self._encode(item) if self._encode is not None else await self._execute(item)
        except (StopAsyncIteration, Draining):
            raise
        except Exception as error:
            key = getattr(self._root, "alias", None) or getattr(self._root, "name", None)
            path = [key.value] if key is not None else []
            raise Ended([formatted(located_error(error, [self._root], path))]) from error
        return Next(body, item.place)

    async def aclose(self) -> None:
        """Let go of the log."""
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()

    async def _execute(self, item: Any) -> bytes:
        self._context.forget_loaded()
        result = execute_subscription_event(self._executor.build_per_event_executor(item))
        if not isinstance(result, ExecutionResult):
            result = await result
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = formatted_all(result.errors)
        return _encoder.encode(body)
