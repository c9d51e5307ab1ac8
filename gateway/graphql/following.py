"""A running subscription: items of the log in, messages out."""

from collections import deque
from collections.abc import AsyncIterable, Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, Self

import msgspec
from graphql import ExecutionResult, SelectionNode, located_error
from graphql.execution import execute_subscription_event
from graphql.execution.executor import Executor

from gateway.graphql.documents import Operation
from gateway.graphql.errors import formatted
from gateway.graphql.shape import response
from gateway.graphql.shared_executions import SharedExecutions
from gateway.graphql.subscription_plan import SubscriptionPlan
from processors.live.shape import Message, Shape
from processors.live.subscription import Draining, LiveSubscription
from resolvers.context import Context
from resolvers.event import Event
from schema.cursor import Cursor
from schema.principal import Principal

_encoder = msgspec.json.Encoder()


def with_cursor(body: bytes, cursor: str) -> bytes:
    """A response's body, which ends in `}`, with `extensions.cursor`."""
    return body[:-1] + b',"extensions":{"cursor":"' + cursor.encode() + b'"}}'


class Ended(Exception):
    """The subscription ended by a failure. `errors`: as a response says them."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors

    @property
    def body(self) -> bytes:
        """The response that says so."""
        return _encoder.encode({"errors": self.errors})


class Unplaced(NamedTuple):
    """A message after which nothing in the log goes on: what it tells of is asked for anew."""

    body: bytes
    place: None = None


class Following(Protocol):
    """Iterates over messages; must be closed. Raises Ended, and Draining when the process goes away."""

    @property
    def place(self) -> Cursor | None:
        """Where it begins, to be asked before the first step; None: it has no place in the log to go on from."""

    def sign(self, place: Cursor) -> str:
        """The place as a cursor of the caller's tenant."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Message | Unplaced: ...

    def reauthorise(self, principal: Principal) -> None:
        """Go on for a caller whose token changed, or end with FORBIDDEN."""

    async def aclose(self) -> None:
        """Let go of the log."""


class Compiled:
    """Follows with a plan; subscribers who ask the same can share what it makes."""

    def __init__(self, live: LiveSubscription, shape: Shape, plan: SubscriptionPlan) -> None:
        self.live = live
        self.sign = live.sign
        self._shape = shape
        self._plan = plan
        self._ready: deque[Message] = deque()

    @property
    def place(self) -> Cursor:
        """See `Following.place`."""
        return self.live.cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not self._ready:
            self._ready.extend(await self.step())
        return self._ready.popleft()

    async def step(self) -> Sequence[Message]:
        """All messages that are ready at once, where there is no need to take them one by one; may be none."""
        try:
            items = await self.live.__anext__()
            return self._shape.messages(items, self.sign, caught_up=self.live.caught_up)
        except (StopAsyncIteration, Draining):
            raise
        except Exception as error:
            raise ended(error, self._plan.field) from error

    def reauthorise(self, principal: Principal) -> None:
        """Go on for a caller whose token changed, or end with FORBIDDEN."""
        self.live.reauthorise(principal)

    async def aclose(self) -> None:
        """Let go of the log."""
        await self.live.aclose()


class Shared(NamedTuple):
    """Executions, and what was asked: equal for those who ask the same of an event."""

    executions: SharedExecutions
    asked: Hashable


class Executed:
    """Follows by executing the operation for each item, as graphql-core does.

    `shared`: how to execute an event once for all who would get the same of it; None: each for itself.
    """

    def __init__(
        self, source: AsyncIterable[Any], executor: Executor[Any], operation: Operation, shared: Shared | None
    ) -> None:
        self._items = source.__aiter__()
        self._executor = executor
        self._shared = shared
        self._root = operation.node.selection_set.selections[0]
        self._context: Context = executor.context_value

    @property
    def place(self) -> Cursor | None:
        """See `Following.place`."""
        return self._context.place if self._context.live is None else self._context.live.cursor

    def sign(self, place: Cursor) -> str:
        """The place as a cursor of the caller's tenant."""
        return self._context.sign(place)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Unplaced:
        try:
            item = await self._items.__anext__()
            body, place = await self._result(item), getattr(item, "place", None)
            return Unplaced(body) if place is None else Message(body, place)
        except (StopAsyncIteration, Draining):
            raise
        except Exception as error:
            raise ended(error, self._root) from error

    def reauthorise(self, principal: Principal) -> None:
        """Go on for a caller whose token changed, or end with FORBIDDEN."""
        self._context.reauthorise(principal)

    async def aclose(self) -> None:
        """Let go of the log."""
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()

    async def _result(self, item: Any) -> bytes:
        if self._shared is None or not isinstance(item, Event):
            return await self._execute(item)
        executions, asked = self._shared
        principal = self._context.principal  # of now: a refreshed token may see less
        key = (asked, principal.tenant, principal.read_scope, item.event.event_id, item.place)
        return await executions.of(key, partial(self._execute, item))

    async def _execute(self, item: Any) -> bytes:
        self._context.forget_loaded()
        result = execute_subscription_event(self._executor.build_per_event_executor(item))
        if not isinstance(result, ExecutionResult):
            result = await result
        return response(result)


def ended(error: Exception, root: SelectionNode) -> Ended:
    """What a subscription's client is told of a failure: it has the root field's path."""
    key = getattr(root, "alias", None) or getattr(root, "name", None)
    path = [key.value] if key is not None else []
    return Ended([formatted(located_error(error, [root], path))])
