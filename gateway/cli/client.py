"""The commands that speak to a running gateway: publish to it, follow it, ask it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gateway.cli.connection import Connection
from gateway.cli.options import (
    DEFAULT_URL,
    Aggregate,
    DataDir,
    Expression,
    Json,
    Streams,
    Tenant,
    Token,
    Type,
    Url,
    Where,
)
from gateway.cli.process import FAILED, err, json_of, print_json

Stream = Annotated[str | None, typer.Option("--stream", "-s", help="Its stream.", show_default="as routed")]


class From(StrEnum):
    """Where `esb tail` starts, besides a cursor or a time."""

    LIVE = "live"
    BEGINNING = "beginning"


def publish(
    event_type: Annotated[str | None, typer.Argument(help="Type of the one event to publish.")] = None,
    payload: Annotated[str | None, typer.Argument(help="Its payload as JSON.", show_default="{}")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="NDJSON, an event a line; - is stdin.")] = None,
    stream: Stream = None,
    aggregate_type: Annotated[str | None, typer.Option(help="Such as User.")] = None,
    aggregate_id: Annotated[str | None, typer.Option(help="Such as usr_12345.")] = None,
    event_id: Annotated[str | None, typer.Option(help="Makes a retry safe.", show_default="a new one")] = None,
    expected_sequence: Annotated[int | None, typer.Option(help="The aggregate's version seen; 0: new.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Publish one event, or every line of --file (NDJSON, in the REST API's words).

    Running the same file again repeats nothing: lines without an event_id get one that follows from the line.
    """
    from gateway.cli import publish as publishing

    one = {
        "eventType": event_type,
        "payload": json_of(payload or "{}", "payload"),
        "stream": stream,
        "aggregateType": aggregate_type,
        "aggregateId": aggregate_id,
        "eventId": event_id,
        "expectedSequence": expected_sequence,
    }
    said = {name: value for name, value in one.items() if value is not None}
    if (file is None) == (event_type is None):
        raise typer.BadParameter("give an event type and a payload, or --file")
    if file is not None and len(said) > 1:
        raise typer.BadParameter("the lines of --file say everything of their events")
    connection = Connection(url, token, tenant, "publisher", data_dir)
    if file is None:
        print_json(connection.run(lambda remote: publishing.one(remote, said)))
        return
    summary = connection.run(lambda remote: publishing.file(remote, file, console=err))
    publishing.report(summary, err)
    if as_json:
        print_json(summary._asdict())
    raise typer.Exit(FAILED if summary.rejected else 0)


def tail(
    stream: Streams = None,
    event_type: Type = None,
    aggregate: Aggregate = None,
    where: Where = None,
    expression: Expression = None,
    start: Annotated[From, typer.Option("--from", help="Where to start.")] = From.LIVE,
    cursor: Annotated[str | None, typer.Option(help="Start after this cursor.")] = None,
    since: Annotated[str | None, typer.Option(help="Start at this time of recording (RFC 3339).")] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after so many events.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Follow events as they come. After a cut it goes on where it was: nothing is missed or repeated."""
    from gateway.cli import tail as tailing

    begin: dict[str, Any] = {start.value: True}
    if cursor or since:
        begin = {"cursor": cursor} if cursor else {"time": since}
    asked = filter_of(event_type, aggregate, where, expression)
    show = print_json if as_json else tailing.shower(Console())
    Connection(url, token, tenant, "reader", data_dir).run(
        lambda remote: tailing.run(remote, streams=stream, where=asked, start=begin, count=count, show=show, notes=err)
    )


def events(
    stream: Streams = None,
    event_type: Type = None,
    aggregate: Aggregate = None,
    where: Where = None,
    expression: Expression = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="At most so many.")] = 20,
    newest: Annotated[bool, typer.Option("--newest", help="The newest first.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Ask for stored events."""
    from gateway.cli import reading
    from gateway.cli.tail import shower

    asked = filter_of(event_type, aggregate, where, expression)
    show = print_json if as_json else shower(Console())
    Connection(url, token, tenant, "reader", data_dir).run(
        lambda remote: reading.events(remote, streams=stream, where=asked, count=count, newest=newest, show=show)
    )


def streams(
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the streams the token may see."""
    from gateway.cli import reading

    found = Connection(url, token, tenant, "reader", data_dir).run(reading.streams)
    if as_json:
        for stream in found:
            print_json(stream)
    else:
        Console().print(reading.table(found))


def explain_route(
    event_type: Annotated[str, typer.Argument(help="Type of the event.")],
    payload: Annotated[str, typer.Argument(help="Its payload as JSON.")] = "{}",
    stream: Annotated[str | None, typer.Option("--stream", "-s", help="As if the publisher named it.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Which stream would take the event, and why. Nothing is published."""
    from gateway.cli import reading

    said = {"eventType": event_type, "payload": json_of(payload, "payload")} | ({"stream": stream} if stream else {})
    connection = Connection(url, token, tenant, "admin", data_dir)
    answer = connection.run(lambda remote: reading.explain_route(remote, said))
    if as_json:
        print_json(answer)
    else:
        Console(soft_wrap=True).print(f"[bold]{answer['stream']['streamName']}[/]: {answer['why']}", highlight=False)


def demo(
    speed: Annotated[float, typer.Option(min=0, help="Seconds of 2013 a second; 0: as fast as it goes.")] = 600,
    limit: Annotated[int | None, typer.Option(min=1, help="Publish at most so many events.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
) -> None:
    """Feed the running gateway with real flights (New York City, 2013). Goes on where the last run ended."""
    from gateway.cli import demo as flights

    connection = Connection(url, token, tenant, "admin", data_dir)
    published = connection.run(lambda remote: flights.run(remote, speed=speed, limit=limit, console=err))
    err.print(f"{published:,} events published", highlight=False)


def filter_of(
    event_type: str | None, aggregate: str | None, where: str | None, expression: str | None
) -> dict[str, Any] | None:
    """The EventFilter that the options for it say together; None: everything."""
    leaves: list[dict[str, Any]] = []
    if event_type:
        leaves.append({"eventType": {"pattern" if "*" in event_type else "eq": event_type}})
    if aggregate:
        leaves.append({"aggregateId": {"eq": aggregate}})
    if where:
        leaves.append(json_of(where, "--where"))
    if expression:
        leaves.append({"expression": expression})
    return {"and": leaves} if leaves else None
