"""`esb tail`: follow events as they come, coloured for people or as NDJSON for programs; resumes by itself."""

import contextlib
from collections.abc import Callable
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from gateway.cli.remote import Remote

FIELDS = (
    "eventId eventType eventVersion stream aggregateType aggregateId sequenceNumber position partition offset "
    "timestamp recordedAt correlationId causationId userId sourceCapability metadata payload cursor"
)
_QUERY = f"subscription($s:[String!],$w:EventFilter,$f:From){{events(streams:$s,where:$w,from:$f){{{FIELDS}}}}}"
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")


async def run(
    remote: Remote,
    *,
    streams: list[str] | None,
    where: dict[str, Any] | None,
    start: dict[str, Any],
    count: int | None,
    show: Callable[[dict[str, Any]], None],
    notes: Console,
) -> None:
    """Show events until `count` of them were seen, or for ever. `notes` is told why nothing comes."""

    def pause(why: str, seconds: float) -> None:
        notes.print(f"{why}; trying again in {seconds:g} s", style="dim", markup=False, highlight=False, soft_wrap=True)

    seen = 0
    variables = {"s": streams or None, "w": where, "f": start}
    async with contextlib.aclosing(remote.follow(_QUERY, variables, pause)) as messages:
        async for data in messages:
            show(data["events"])
            seen += 1
            if seen == count:
                return


def shower(console: Console) -> Callable[[dict[str, Any]], None]:
    """Shows each event on a line, for people."""
    return lambda event: console.print(line(event), soft_wrap=True)


def line(event: dict[str, Any]) -> Text:
    """One event on one line: time, place, type, aggregate, payload. A type keeps its colour."""
    colour = _COLOURS[sum(event["eventType"].encode()) % len(_COLOURS)]
    place = event["position"] if event["position"] is not None else f"{event['partition']}/{event['offset']}"
    text = Text(f"{event['timestamp'][:23]:<23} ", style="dim")
    text.append(f"{place:>8} ", style="dim")
    text.append(f"{event['eventType']:<24} ", style=f"bold {colour}")
    if event["aggregateId"]:
        text.append(f"{event['aggregateType']}/{event['aggregateId']}", style=colour)
        text.append(f" #{event['sequenceNumber']} " if event["sequenceNumber"] else " ", style="dim")
    text.append(orjson.dumps(event["payload"]).decode())
    return text
