"""Starting and stopping aiokafka's clients so that nothing of them is left open.

aiokafka minds being cancelled: a start cancelled while it waits for the first metadata forgets that connection, a stop
cancelled half-way never stops the rest. So both run to their end in a task of their own, whatever becomes of who asked.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

STOP_S = 5.0
GRACE_S = 1.0
"""How long who was cancelled, or has waited too long, waits on for a broker that answers after all. A frozen one must
not hold up the gateway's shutdown for longer."""

Client = TypeVar("Client", AIOKafkaAdminClient, AIOKafkaConsumer, AIOKafkaProducer)


async def start(client: Client, *, deadline_s: float) -> None:
    """Connect. Raises TimeoutError after `deadline_s` seconds, or aiokafka's error; to be stopped even then."""
    await _finish(client.start(), deadline_s)


async def stop(client: Client, *, within_s: float = STOP_S) -> None:
    """Disconnect, also what was started only in part. Raises nothing of its own."""
    with contextlib.suppress(Exception):
        await _finish(_disconnect(client), within_s)


@contextlib.asynccontextmanager
async def running(client: Client, *, deadline_s: float) -> AsyncIterator[Client]:
    """The client, started, see `start`; stopped at the end."""
    try:
        await start(client, deadline_s=deadline_s)
        yield client
    finally:
        await stop(client)


async def _disconnect(client: Any) -> None:
    if isinstance(client, AIOKafkaAdminClient):
        await client.close()
        return
    connections = client.client if isinstance(client, AIOKafkaProducer) else client._client
    try:
        await client.stop()
    finally:
        await connections.close()  # a producer's stop waits for what is under way, and is cut off before this


async def _finish(work: Coroutine[Any, Any, None], within_s: float) -> None:
    """Run it to its end within `within_s` seconds. Once they are over or the caller is cancelled it has GRACE_S more,
    then it is cancelled.
    """
    task = asyncio.create_task(work, name="kafka-client")
    try:
        done, _ = await asyncio.wait([task], timeout=within_s)
    finally:
        await _end(task)
    if not done:
        raise TimeoutError(f"no answer within {within_s:g} s")
    task.result()


async def _end(task: asyncio.Task[None]) -> None:
    try:
        if not task.done():
            await asyncio.wait([task], timeout=GRACE_S)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=GRACE_S)
        if task.done() and not task.cancelled():
            task.exception()  # asked for, else the loop reports it
