"""`esb demo`: real flights into the running gateway, at a chosen speed-up, from where the last run ended."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli import flights
from gateway.cli.remote import Remote
from schema.errors import ErrorCode, EsbError, bad_input

STREAM = "flights"
_BATCH = 1000
_TICK_S = 0.1
_CREATE = "mutation($s:StreamInput!){createStream(stream:$s){streamName}}"
# of 2013: what people publish themselves into the demo's stream, to try it, happens now
_LAST = """query($s: [String!]) {
  events(streams: $s, first: 1, order: DESC, where: {timestamp: {lt: "2014-01-02T12:00:00Z"}}) { nodes { eventId } }
}"""


async def run(remote: Remote, *, speed: float, limit: int | None, console: Console) -> int:
    """Publish flight events; the number published by this run. `speed`: seconds of 2013 a second, 0: no pacing."""
    archive = await asyncio.to_thread(flights.fetch, flights.cache_folder(), console.print)
    await _create_stream(remote)
    last = await _last_published(remote)
    feed = flights.events(archive)
    skipped = _skip_to(feed, last)
    if skipped:
        console.print(f"going on after {skipped:,} events that are there already")
    total = flights.EVENTS if limit is None else min(flights.EVENTS, skipped + limit)
    published = skipped
    columns = (TextColumn("{task.fields[at]}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("flights", total=total, completed=skipped, at="2013", rate="")
        started = time.monotonic()
        clock = Clock(speed)
        for batch in _batches(islice(feed, total - skipped), _BATCH if speed == 0 else None, clock):
            await clock.until(batch[-1].at)
            await _publish(remote, [event.document() for event in batch])
            published += len(batch)
            rate = (published - skipped) / max(time.monotonic() - started, 1e-9)
            bar.update(task, completed=published, at=f"{batch[-1].at:%Y-%m-%d %H:%M} UTC", rate=f"{rate:,.0f} events/s")
    return published - skipped


class Clock:
    """Maps moments of 2013 to now, `speed` times as fast. Unpaced at speed 0."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start: tuple[datetime, float] | None = None

    def tick(self, at: datetime) -> int:
        """The number of the tick in which an event is due: events of one tick go out together."""
        return int(at.timestamp() / (_TICK_S * self._speed)) if self._speed else 0

    async def until(self, at: datetime) -> None:
        """Wait until the moment has come."""
        if not self._speed:
            return
        if self._start is None:
            self._start = (at, time.monotonic())
        due = self._start[1] + (at - self._start[0]).total_seconds() / self._speed
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def _batches(
    feed: Iterator[flights.FlightEvent], size: int | None, clock: Clock
) -> Iterator[list[flights.FlightEvent]]:
    batch: list[flights.FlightEvent] = []
    for event in feed:
        full = len(batch) >= (size or _BATCH)
        if batch and (full or clock.tick(event.at) != clock.tick(batch[-1].at)):
            yield batch
            batch = []
        batch.append(event)
    if batch:
        yield batch


async def _create_stream(remote: Remote) -> None:
    try:
        await remote.graphql(_CREATE, {"s": {"streamName": STREAM, "eventPatterns": ["flight.*"]}})
    except EsbError as error:
        if error.code is not ErrorCode.ALREADY_EXISTS:
            raise


async def _last_published(remote: Remote) -> str | None:
    nodes = (await remote.graphql(_LAST, {"s": [STREAM]}))["events"]["nodes"]
    return str(nodes[0]["eventId"]) if nodes else None


def _skip_to(feed: Iterator[flights.FlightEvent], last: str | None) -> int:
    if last is None:
        return 0
    for skipped, event in enumerate(feed, 1):
        if event.event_id() == last:
            return skipped
    raise bad_input(f"the event {last} of {STREAM!r} is not one of the demo's: use a new --tenant")


async def _publish(remote: Remote, documents: list[dict[str, Any]]) -> None:
    report = await remote.publish_batch(documents, atomic=True)
    if report["rejections"]:
        first = report["rejections"][0]
        raise EsbError(ErrorCode(first["code"]), first["message"])
