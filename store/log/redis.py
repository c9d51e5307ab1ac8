"""The Redis engine: a stream that keeps its newest events and forgets the rest; for presence, typing, prices.

Order is Redis' own; an entry's id holds its time and is the cursor. Trimming takes the oldest entries, so a reader
whose own last entry is still there has lost nothing behind it: that is how a loss is told, never passed over.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import MAX_PAGE, Event
from schema.stream import Stream
from store.log.foreign import NotAnEvent, decode_for
from store.log.port import Batch, Command, Draft, Outcome, Promises, Receipt, Refusal

NOTHING = "0-0"
_FIELD = b"event"
_BLOCK_MS = 2000


class RedisLog:
    """The log of one Redis stream. `max_entries`: how many events it keeps, about. `deadline_s` bounds every wait for
    Redis; `client` is shared and closed by its owner, and must not decode responses.
    """

    promises = Promises(gapless=False, idempotent=False, atomic=False)

    def __init__(self, stream: Stream, client: Redis, *, max_entries: int = 100_000, deadline_s: float = 5.0) -> None:
        self._stream = stream
        self._client = client
        self._max_entries = max_entries
        self._deadline_s = deadline_s

    async def append(self, commands: Sequence[Command]) -> list[Outcome]:
        """Commit each one-event command, all in one round trip; refuse what Redis cannot promise."""
        outcomes: list[Outcome] = [_unsupported(command) or [] for command in commands]
        drafts = {
            index: command.events[0]
            for index, command in enumerate(commands)
            if command.events and not isinstance(outcomes[index], Refusal)
        }
        if not drafts:
            return outcomes
        pipeline = self._client.pipeline(transaction=False)
        for draft in drafts.values():
            pipeline.xadd(self._stream.topic, {_FIELD: draft.body}, maxlen=self._max_entries, approximate=True)
        async with self._answering():
            answers = await pipeline.execute(raise_on_error=False)
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        if len(failures) == len(answers):
            raise _unavailable(failures[0])
        for (index, draft), answer in zip(drafts.items(), answers, strict=True):
            outcomes[index] = _refused(answer) if isinstance(answer, Exception) else [self._receipt(draft, answer)]
        return outcomes

    async def read(self, start: Cursor, limit: int) -> Batch:
        """Up to `limit` events from `start` on. See `port.Log.read`."""
        after = self._after(start)
        async with self._answering():
            if after is None:
                return await self._since(start.at_ms, limit)
            return self._batch(await self._following(after, limit), after, start.at_ms)

    async def head(self) -> Cursor:
        """The cursor after the newest entry."""
        async with self._answering():
            _, information = await self._range("+", 1)
        last = _last_id(information)
        return self._cursor(last, _ms(last))

    async def length(self) -> int:
        """How many entries it still keeps."""
        async with self._answering():
            return int(await self._client.xlen(self._stream.topic))

    async def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """All events from `start` on, then new ones. Raises CURSOR_EXPIRED when trimming overtook the reader, and
        LOG_UNAVAILABLE when Redis does not answer.
        """
        batch = await self.read(start, MAX_PAGE)
        while True:
            if batch.events:
                yield batch
            after = self._after(batch.cursor) or NOTHING
            while not await self._more(after):
                pass
            batch = await self.read(batch.cursor, MAX_PAGE)

    async def close(self) -> None:
        """Nothing to release: the client is its owner's."""

    async def _more(self, after: str) -> bool:
        """Wait a while for an entry after an id. What counts is read later, with the proof that nothing is missing."""
        async with self._answering(_BLOCK_MS / 1000):
            return bool(await self._client.xread({self._stream.topic: after}, count=1, block=_BLOCK_MS))

    async def _since(self, at_ms: int, limit: int) -> Batch:
        """The entries not older than a moment. Where there are none, the stream's last id is older than it too."""
        entries, information = await self._range(str(at_ms), limit)
        return self._batch(entries, _last_id(information), at_ms)

    async def _following(self, after: str, limit: int) -> list[Any]:
        """The entries after an id. Raises CURSOR_EXPIRED when some may be gone."""
        entries, information = await self._range(after, limit + 1)
        if entries and entries[0][0].decode() == after:
            return entries[1:]
        nothing_trimmed = information is None or information["entries-added"] == information["length"]
        if after == NOTHING and nothing_trimmed:
            return entries[:limit]
        if not entries and _last_id(information) == after:
            return []
        raise EsbError(ErrorCode.CURSOR_EXPIRED, "events after the cursor are gone: the stream keeps only the newest")

    async def _range(self, start: str, count: int) -> tuple[list[Any], dict[str, Any] | None]:
        """Entries from `start` on and what Redis says of the stream (None: it was never written), of one moment."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.xrange(self._stream.topic, start, count=count)
        pipeline.xinfo_stream(self._stream.topic)
        entries, information = await pipeline.execute(raise_on_error=False)
        if isinstance(entries, Exception):
            raise entries
        if isinstance(information, ResponseError) and "no such key" in str(information):
            return [], None
        if isinstance(information, Exception):
            raise information
        return list(entries), information

    def _batch(self, entries: Sequence[Any], after: str, at_ms: int) -> Batch:
        events: list[Event] = []
        for entry_id, fields in entries:
            after = entry_id.decode()
            with contextlib.suppress(NotAnEvent):
                events.append(self._event(after, fields.get(_FIELD)))
        return Batch(events, self._cursor(after, max(at_ms, _ms(after))))

    def _event(self, entry_id: str, body: bytes | None) -> Event:
        event = decode_for(self._stream, body)
        event.entry_id = entry_id
        event.recorded_at = _moment(entry_id)
        return event

    def _receipt(self, draft: Draft, answer: bytes) -> Receipt:
        entry_id = answer.decode()
        cursor = self._cursor(entry_id, _ms(entry_id))
        event_id, name = draft.envelope.event_id, self._stream.stream_name
        return Receipt(event_id, name, None, None, None, None, cursor, _moment(entry_id), entry_id=entry_id)

    def _cursor(self, entry_id: str, at_ms: int) -> Cursor:
        return Cursor(0, 0, at_ms, (), ((self._stream.key, entry_id),))

    def _after(self, cursor: Cursor) -> str | None:
        return dict(cursor.redis).get(self._stream.key)

    @contextlib.asynccontextmanager
    async def _answering(self, longer_s: float = 0.0) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._deadline_s + longer_s):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error


def _unavailable(cause: Exception) -> EsbError:
    why = str(cause) or type(cause).__name__
    return EsbError(ErrorCode.LOG_UNAVAILABLE, f"Redis is not available: {why}", retry_after_ms=1000)


def _refused(cause: Exception) -> Refusal:
    error = _unavailable(cause)
    return Refusal(0, error.code, error.message)


def _unsupported(command: Command) -> Refusal | None:
    if command.condition is not None:
        return Refusal(0, ErrorCode.UNSUPPORTED_BY_ENGINE, "a Redis stream cannot keep a condition")
    if len(command.events) > 1:
        message = "a Redis stream cannot commit a batch as one; use atomic: false"
        return Refusal(0, ErrorCode.UNSUPPORTED_BY_ENGINE, message)
    if command.events and command.events[0].expected_sequence is not None:
        return Refusal(0, ErrorCode.UNSUPPORTED_BY_ENGINE, "a Redis stream has no sequence numbers to expect")
    return None


def _ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _moment(entry_id: str) -> datetime:
    return datetime.fromtimestamp(_ms(entry_id) / 1000, UTC)


def _last_id(information: dict[str, Any] | None) -> str:
    return information["last-generated-id"].decode() if information else NOTHING
