"""`esb publish`: one event from options, or many from NDJSON, safe to run again after a failure.

Events without an `event_id` get one that follows from the file's content and line number, so a second run of the same
input commits nothing twice.
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
from schema.errors import bad_input

_PUBLISH = (
    "mutation($e:EventInput!){publishEvent(event:$e)"
    "{eventId stream position partition offset sequenceNumber cursor recordedAt duplicate}}"
)
_BATCH_EVENTS = 1000
_BATCH_BYTES = 4 * 1024 * 1024


class Summary(NamedTuple):
    """What became of the lines. `rejected`: (line number from 1, code, message)."""

    published: int
    duplicates: int
    rejected: list[tuple[int, str, str]]


async def one(remote: Remote, said: dict[str, Any]) -> dict[str, Any]:
    """Publish one event, in GraphQL's words; its receipt."""
    async with remote:
        return dict((await remote.graphql(_PUBLISH, {"e": said}))["publishEvent"])


async def file(remote: Remote, path: Path, *, console: Console) -> Summary:
    """Publish every line of a file; `-` is standard input."""
    async with remote:
        if str(path) == "-":
            return await lines(remote, sys.stdin.buffer, None, name="stdin", console=console)
        with path.open("rb") as source:
            return await lines(remote, source, os.fstat(source.fileno()).st_size, name=path.name, console=console)


async def lines(remote: Remote, source: BinaryIO, size: int | None, *, name: str, console: Console) -> Summary:
    """Publish every line of `source`; `size` in bytes, for the progress bar, where known."""
    published = duplicates = 0
    rejected: list[tuple[int, str, str]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(name, total=size, rate="")
        started = time.monotonic()
        for batch in _batches(source, name):
            report = await remote.publish_batch([document for _, document in batch.events], atomic=False)
            published += sum(1 for receipt in report["receipts"] if not receipt["duplicate"])
            duplicates += sum(1 for receipt in report["receipts"] if receipt["duplicate"])
            for refusal in report["rejections"]:
                rejected.append((batch.events[refusal["index"]][0], refusal["code"], refusal["message"]))
            rate = (published + duplicates) / max(time.monotonic() - started, 1e-9)
            bar.update(task, advance=batch.size, rate=f"{rate:,.0f} events/s")
    return Summary(published, duplicates, rejected)


class _Batch(NamedTuple):
    events: list[tuple[int, dict[str, Any]]]
    size: int


def _batches(source: BinaryIO, name: str) -> Iterator[_Batch]:
    events: list[tuple[int, dict[str, Any]]] = []
    size = 0
    for number, line in enumerate(source, 1):
        size += len(line)
        if line.strip():
            events.append((number, _document(line, number, name)))
        if len(events) >= _BATCH_EVENTS or size >= _BATCH_BYTES:
            yield _Batch(events, size)
            events, size = [], 0
    if events:
        yield _Batch(events, size)


def _document(line: bytes, number: int, name: str) -> dict[str, Any]:
    try:
        document = orjson.loads(line)
    except ValueError as error:
        raise bad_input(f"{name}, line {number}: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise bad_input(f"{name}, line {number}: an event is a JSON object")
    document.setdefault("event_id", _derived_id(line.strip(), number))
    return document


def _derived_id(line: bytes, number: int) -> str:
    """The same line at the same place has the same id; the time part is zero: it says nothing of when."""
    digest = hashlib.sha256(b"%d:%s" % (number, line)).digest()
    return "evt_" + bytes_to_ulid(bytes(6) + digest[:10])
