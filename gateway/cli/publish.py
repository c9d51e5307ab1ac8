"""`esb publish`: one event from options, or many from NDJSON, safe to run again after a failure.

Lines without an `event_id` get one that follows from the line and its number, so a second run of the same input commits
nothing twice. A line that cannot be an event is named at the end and keeps no other from being published.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from ulid_transform import bytes_to_ulid

from gateway.cli.remote import Remote
from schema.errors import EsbError, bad_input

_PUBLISH = (
    "mutation($e:EventInput!){publishEvent(event:$e)"
    "{eventId stream position partition offset sequenceNumber cursor recordedAt duplicate}}"
)
_BATCH_EVENTS = 1000
_BATCH_BYTES = 4 * 1024 * 1024
_SHOWN = 20


Refused = tuple[int, str, str]
"""The number of a line, from 1; the code and the message of its refusal."""


class Summary(NamedTuple):
    """What became of the lines."""

    published: int
    duplicates: int
    rejected: list[Refused]


async def one(remote: Remote, said: dict[str, Any]) -> dict[str, Any]:
    """Publish one event, in GraphQL's words; its receipt."""
    return dict((await remote.graphql(_PUBLISH, {"e": said}))["publishEvent"])


async def file(remote: Remote, path: Path, *, console: Console) -> Summary:
    """Publish every line of a file; `-` is standard input."""
    if str(path) == "-":
        return await lines(remote, sys.stdin.buffer, None, name="stdin", console=console)
    try:
        with path.open("rb") as source:
            return await lines(remote, source, os.fstat(source.fileno()).st_size, name=path.name, console=console)
    except OSError as error:
        raise bad_input(f"{path} cannot be read: {error.strerror}") from None


async def lines(remote: Remote, source: BinaryIO, size: int | None, *, name: str, console: Console) -> Summary:
    """Publish every line of `source`; `size` in bytes, for the progress bar, where known."""
    published = duplicates = 0
    rejected: list[Refused] = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(name, total=size, rate="")
        started = time.monotonic()
        for batch in _batches(source):
            report = await _publish(remote, batch)
            published += sum(1 for receipt in report["receipts"] if not receipt["duplicate"])
            duplicates += sum(1 for receipt in report["receipts"] if receipt["duplicate"])
            rejected += sorted(batch.broken + _refused(batch, report))
            rate = (published + duplicates) / max(time.monotonic() - started, 1e-9)
            bar.update(task, advance=batch.size, rate=f"{rate:,.0f} events/s")
    return Summary(published, duplicates, rejected)


def report(summary: Summary, console: Console) -> None:
    """What became of it, for people."""
    console.print(f"{summary.published:,} published, {summary.duplicates:,} already there", highlight=False)
    for number, code, message in summary.rejected[:_SHOWN]:
        console.print(f"line {number}: {code}: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    if (more := len(summary.rejected) - _SHOWN) > 0:
        console.print(f"and {more:,} more lines were refused", style="red")


class _Batch(NamedTuple):
    """Lines that may be events, and those that are none, with their numbers. `size`: bytes of all of them."""

    events: list[tuple[int, dict[str, Any]]]
    broken: list[Refused]
    size: int


async def _publish(remote: Remote, batch: _Batch) -> dict[str, Any]:
    if not batch.events:
        return {"receipts": [], "rejections": []}
    return await remote.publish_batch([document for _, document in batch.events], atomic=False)


def _refused(batch: _Batch, answer: dict[str, Any]) -> list[Refused]:
    return [(batch.events[each["index"]][0], each["code"], each["message"]) for each in answer["rejections"]]


def _batches(source: BinaryIO) -> Iterator[_Batch]:
    batch = _Batch([], [], 0)
    for number, line in enumerate(source, 1):
        batch = batch._replace(size=batch.size + len(line))
        if line.strip():
            try:
                batch.events.append((number, _document(line, number)))
            except EsbError as error:
                batch.broken.append((number, error.code.value, error.message))
        if len(batch.events) + len(batch.broken) >= _BATCH_EVENTS or batch.size >= _BATCH_BYTES:
            yield batch
            batch = _Batch([], [], 0)
    if batch.size:
        yield batch


def _document(line: bytes, number: int) -> dict[str, Any]:
    try:
        document = orjson.loads(line)
    except ValueError as error:
        raise bad_input(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise bad_input("an event is a JSON object")
    document.setdefault("event_id", _derived_id(line.strip(), number))
    return document


def _derived_id(line: bytes, number: int) -> str:
    """The same line at the same place has the same id; the time part is zero: it says nothing of when."""
    digest = hashlib.sha256(b"%d:%s" % (number, line)).digest()
    return "evt_" + bytes_to_ulid(bytes(6) + digest[:10])
