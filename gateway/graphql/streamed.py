"""One operation answered over one response that stays open, in whichever format the client asked for."""

import contextlib
from typing import Protocol

from starlette.types import Receive, Scope, Send

from gateway.graphql.connections import Connections
from gateway.graphql.documents import Operation
from gateway.graphql.held_open import Headers, HeldOpen
from gateway.graphql.messages import Begun, Message, messages
from gateway.graphql.operations import Answer, Caller, Operations
from gateway.graphql.request import GraphQLRequest
from schema.errors import EsbError


class Format(Protocol):
    """How messages look on the wire."""

    @property
    def headers(self) -> Headers:
        """Of the response."""

    @property
    def heartbeat(self) -> bytes:
        """What keeps it alive."""

    @property
    def opening(self) -> bytes:
        """What comes first."""

    @property
    def closing(self) -> bytes:
        """What says that the operation came to its own end."""

    def begun(self, said: Begun, /) -> bytes:
        """A subscription has begun; may be nothing."""

    def message(self, said: Message, /) -> bytes:
        """One message."""

    def farewell(self, reason: EsbError, /) -> bytes:
        """The end before its time, and why."""


class Streamed:
    """Answers in as many messages as the operation has."""

    def __init__(self, operations: Operations, connections: Connections) -> None:
        self._operations = operations
        self._connections = connections

    async def answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        form: Format,
        found: Operation | Answer,
        request: GraphQLRequest,
        caller: Caller,
    ) -> None:
        """Everything the operation says, until it ends, the client leaves or its token expires."""
        held = HeldOpen(
            scope,
            receive,
            send,
            connections=self._connections,
            principal=caller.principal,
            headers=form.headers,
            heartbeat=form.heartbeat,
        )

        async def work() -> None:
            await held.write(form.opening)
            said = messages(self._operations, self._connections, found, request, caller)
            async with contextlib.aclosing(said):
                async for each in said:
                    body = form.begun(each) if isinstance(each, Begun) else form.message(each)
                    if body:
                        await held.write(body)

        reason = await held.serve(work)
        await held.finish(form.closing if reason is None else form.farewell(reason))
