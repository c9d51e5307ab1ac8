"""One event stream that carries many operations (graphql-sse, "single connection mode").

States: reserved (operations may be asked for already; nothing runs, for nobody would hear of it) → open, once →
closed, and with it every operation ends.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

import structlog
from starlette.types import Receive, Scope, Send

from gateway.graphql.connections import Connections
from gateway.graphql.documents import Operation
from gateway.graphql.event_stream import EVENT_STREAM_HEADERS, HEARTBEAT, OPENING, complete_of, next_of
from gateway.graphql.held_open import HeldOpen
from gateway.graphql.messages import Message, messages
from gateway.graphql.operations import Answer, Caller, Operations
from gateway.graphql.request import GraphQLRequest
from gateway.problems import internal
from processors.live.subscription import Draining
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal

_WAITING_BYTES = 64 * 1024

_log = structlog.get_logger(__name__)


class Asked(NamedTuple):
    """An operation to run."""

    found: Operation | Answer
    request: GraphQLRequest
    caller: Caller


class SharedStream:
    """One such stream. `on_close`: called when nothing can be asked of it any more."""

    def __init__(self, operations: Operations, connections: Connections, on_close: Callable[[], None]) -> None:
        self._operations = operations
        self._connections = connections
        self._on_close = on_close
        self._waiting: dict[str, Asked] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._held: HeldOpen | None = None
        self._carrying = False

    @property
    def opened(self) -> bool:
        """Whether the reservation has been used."""
        return self._held is not None

    async def serve(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Be the stream, until the client leaves or its tokens expire. Raises ALREADY_EXISTS the second time."""
        if self._held is not None:
            raise EsbError(ErrorCode.ALREADY_EXISTS, "the event stream is open already")
        self._held = HeldOpen(
            scope,
            receive,
            send,
            connections=self._connections,
            principal=principal,
            headers=EVENT_STREAM_HEADERS,
            heartbeat=HEARTBEAT,
        )
        try:
            await self._held.serve(self._carry)
        finally:
            self._on_close()
            await self._cancel_all()
        await self._held.finish(b"")

    def ask(self, operation_id: str, asked: Asked) -> None:
        """Run an operation. Raises ALREADY_EXISTS for an id in use, RATE_LIMITED for one operation too many."""
        if operation_id in self._running or operation_id in self._waiting:
            raise EsbError(ErrorCode.ALREADY_EXISTS, f"operation {operation_id} is running already")
        limit = self._connections.limits.operations_per_connection
        if len(self._running) + len(self._waiting) >= limit:
            raise EsbError(
                ErrorCode.RATE_LIMITED,
                f"an event stream carries at most {limit} operations at once",
                retry_after_ms=1000,
            )
        if self._held is None or not self._carrying:
            self._wait_for_it(operation_id, asked)
            return
        self._held.prolong(asked.caller.principal)
        self._start(operation_id, asked)

    def _wait_for_it(self, operation_id: str, asked: Asked) -> None:
        """Keep an operation until the stream is open: a little of them, since nobody may ever come."""
        asked.request.variables = asked.request.variables.copy()  # else it keeps the whole body
        self._waiting[operation_id] = asked
        if sum(map(_size, self._waiting.values())) > _WAITING_BYTES:
            del self._waiting[operation_id]
            raise EsbError(
                ErrorCode.RATE_LIMITED,
                f"open the event stream first: at most {_WAITING_BYTES} bytes of operations wait for that",
                retry_after_ms=1000,
            )

    def stop(self, operation_id: str) -> None:
        """End an operation, silently; one that is not there has ended before."""
        self._waiting.pop(operation_id, None)
        running = self._running.pop(operation_id, None)
        if running is not None:
            self._ending.add(running)
            running.add_done_callback(self._ending.discard)
            running.cancel()

    async def _carry(self) -> None:
        assert self._held is not None
        await self._held.write(OPENING)
        self._carrying = True
        waiting, self._waiting = self._waiting, {}
        for operation_id, asked in waiting.items():
            self._start(operation_id, asked)
        await asyncio.Event().wait()  # it ends by the client, its token, or the process

    def _start(self, operation_id: str, asked: Asked) -> None:
        self._running[operation_id] = asyncio.create_task(self._run(operation_id, asked))

    async def _run(self, operation_id: str, asked: Asked) -> None:
        assert self._held is not None
        try:
            said = messages(self._operations, self._connections, *asked)
            async with contextlib.aclosing(said):
                async for each in said:
                    if isinstance(each, Message):
                        await self._held.write(next_of(operation_id, each))
            await self._held.write(complete_of(operation_id))
        except OSError:
            pass  # the stream went away meanwhile
        except Draining as draining:
            self._held.end(draining)
        except Exception:
            _log.exception("operation failed")
            self._held.end(internal())
        finally:
            if self._running.get(operation_id) is asyncio.current_task():
                del self._running[operation_id]

    async def _cancel_all(self) -> None:
        tasks = [*self._running.values(), *self._ending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _size(asked: Asked) -> int:
    return len(asked.request.query or "") + len(memoryview(asked.request.variables))
