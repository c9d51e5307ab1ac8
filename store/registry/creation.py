"""Making a stream so that a death at any moment leaves nothing that the same call, made again, does not finish.

1. One creation at a time in the whole installation (advisory lock; a dead process's is free at once).
2. Refuse a name or topic that is taken. A deleted stream's name, and its topic's, stay taken.
3. The topic is looked for at the broker; then the claim to it is committed; then it is made. So a topic that exists
   although its claim was committed earlier by the same creation is our own, and any other is somebody else's.
4. The stream's row is committed last: nobody sees a stream without its topic.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.errors import ErrorCode, EsbError
from schema.stream import Stream
from store.registry.rows import stream_of, values_of
from store.registry.tables import streams, topic_claims

_LOCK = 1163084291

MAX_STREAMS = 1000


class Creation:
    """One creation under the lock. `begun`: an earlier, interrupted one of the same stream came as far as its topic."""

    def __init__(
        self,
        connection: AsyncConnection,
        tenant: int,
        stream: Stream,
        claim: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._stream = stream
        self._claim = claim
        self.begun = False

    async def check(self) -> None:
        """Take the lock; raise ALREADY_EXISTS for a name or topic that is taken, BAD_INPUT for one stream too many."""
        await self._connection.execute(select(func.pg_advisory_xact_lock(_LOCK, 0)))
        name = self._stream.stream_name
        known = select(streams).where(streams.c.tenant == self._tenant, streams.c.stream_name == name)
        taken: Row[Any] | None = (await self._connection.execute(known)).one_or_none()
        if taken is not None and taken.deleted_at is not None:
            raise _exists(f"the stream {name!r} was deleted; a name never comes back", stream=name)
        if taken is not None:
            raise _exists(f"the stream {name!r} exists already", stream=name)
        live = select(func.count()).where(streams.c.tenant == self._tenant, streams.c.deleted_at.is_(None))
        if (await self._connection.execute(live)).scalar_one() >= MAX_STREAMS:
            raise EsbError(ErrorCode.BAD_INPUT, f"a tenant has at most {MAX_STREAMS} streams")
        claimed = select(topic_claims).where(topic_claims.c.confusable == confusable(self._stream.topic))
        claim = (await self._connection.execute(claimed)).one_or_none()
        if claim is None:
            return
        if claim.stream is not None or (claim.tenant, claim.stream_name) != (self._tenant, name):
            raise topic_taken(self._stream)
        self.begun = True

    async def begin(self) -> None:
        """Claim the topic, committed at once. To be called when it does not exist, before it is made."""
        await self._claim(self._claim_values())

    async def finish(self) -> Stream:
        """Write the stream down; it is there for all when the transaction is committed."""
        row = (
            await self._connection.execute(
                insert(streams).values(tenant=self._tenant, **values_of(self._stream)).returning(streams)
            )
        ).one()
        claim = insert(topic_claims).values(stream=row.key, **self._claim_values())
        await self._connection.execute(
            claim.on_conflict_do_update(index_elements=["confusable"], set_={"stream": row.key})
        )
        return stream_of(row, self._stream.tenant)

    def _claim_values(self) -> dict[str, Any]:
        return {
            "confusable": confusable(self._stream.topic),
            "tenant": self._tenant,
            "stream_name": self._stream.stream_name,
        }


def confusable(topic: str) -> str:
    """What Kafka makes of a topic's name in its metrics: names that are alike there it refuses beside each other."""
    return topic.replace(".", "_")


def topic_taken(stream: Stream) -> EsbError:
    """The refusal of a topic that exists."""
    return _exists(
        f"the topic {stream.topic!r}, or one that Kafka would confuse with it, exists already: choose another topic",
        topic=stream.topic,
    )


def _exists(message: str, **details: str) -> EsbError:
    return EsbError(ErrorCode.ALREADY_EXISTS, message, details=dict(details))
