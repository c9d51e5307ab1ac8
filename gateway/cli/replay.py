"""`esb replay`: start one, see it through, pause it, resume it, cancel it."""

from typing import Annotated, Any

import typer

from gateway.cli.client import filter_of
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
from gateway.cli.process import FAILED, err, print_json

Id = Annotated[str, typer.Argument(help="Its id, rpl_…")]

app = typer.Typer(help="Replays: the past, published again elsewhere.", no_args_is_help=True)


@app.command()
def start(
    to: Annotated[str, typer.Option(help="The ledger stream to fill.")],
    stream: Streams = None,
    event_type: Type = None,
    aggregate: Aggregate = None,
    where: Where = None,
    expression: Expression = None,
    cursor: Annotated[str | None, typer.Option(help="From after this cursor.", show_default="the beginning")] = None,
    since: Annotated[str | None, typer.Option(help="From this time of recording (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this cursor.", show_default="now")] = None,
    speed: Annotated[float, typer.Option(min=0, help="1: as it happened; 0: as fast as it goes.")] = 0,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Publish a range of the past again, into another stream, each event once; show how it goes until it is done."""
    from gateway.cli import replaying

    begin: dict[str, Any] = {"beginning": True}
    if cursor or since:
        begin = {"cursor": cursor} if cursor else {"time": since}
    said = {
        "streams": stream or None,
        "where": filter_of(event_type, aggregate, where, expression),
        "from": begin,
        "until": until,
        "target": {"stream": to},
        "speed": speed,
    }
    connection = Connection(url, token, tenant, "admin", data_dir)
    made = connection.run(lambda remote: replaying.start(remote, said))
    if detach:
        _say([made], as_json)
        return
    _see_through(connection, made["id"], as_json)


@app.command("list")
def show(
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List replays, the newest first."""
    from gateway.cli import replaying

    _say(Connection(url, token, tenant, "reader", data_dir).run(replaying.newest), as_json)


@app.command()
def watch(
    replay_id: Id,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show how a replay goes until it is done, cancelled or failed."""
    _see_through(Connection(url, token, tenant, "reader", data_dir), replay_id, as_json)


@app.command()
def pause(
    replay_id: Id,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Stop a replay after the batch in hand."""
    _change(Connection(url, token, tenant, "admin", data_dir), "pauseReplay", replay_id, as_json)


@app.command()
def resume(
    replay_id: Id,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Let a replay go on where it was paused, or failed."""
    _change(Connection(url, token, tenant, "admin", data_dir), "resumeReplay", replay_id, as_json)


@app.command()
def cancel(
    replay_id: Id,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Stop a replay for ever. What was published stays."""
    _change(Connection(url, token, tenant, "admin", data_dir), "cancelReplay", replay_id, as_json)


def _change(connection: Connection, mutation: str, replay_id: str, as_json: bool) -> None:
    from gateway.cli import replaying

    _say([connection.run(lambda remote: replaying.change(remote, mutation, replay_id))], as_json)


def _see_through(connection: Connection, replay_id: str, as_json: bool) -> None:
    from gateway.cli import replaying

    show = replaying.printed if as_json else replaying.bar(err)
    last = connection.run(lambda remote: replaying.watch(remote, replay_id, show, err))
    raise typer.Exit(0 if last["status"] == "DONE" else FAILED)


def _say(found: list[dict[str, Any]], as_json: bool) -> None:
    from rich.console import Console

    from gateway.cli import replaying

    if as_json:
        for replay in found:
            print_json(replay)
    else:
        Console(soft_wrap=True).print(replaying.table(found), highlight=False)
