"""`esb`: run the gateway, publish to it, follow it, look after it. Each command imports what it needs when it runs."""

import asyncio
import sys
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from gateway.cli.remote import Remote
    from gateway.settings import Settings

app = typer.Typer(
    name="esb",
    help="The Event Streaming Bus: publish events, follow them live, ask for the past.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
route = typer.Typer(help="Routing: which stream takes an event.", no_args_is_help=True)
epoch = typer.Typer(help="Epochs: after a log was restored or failed over.", no_args_is_help=True)
app.add_typer(route, name="route")
app.add_typer(epoch, name="epoch")

err = Console(stderr=True)

DataDir = Annotated[Path | None, typer.Option(help="Where the embedded PostgreSQL rests. [default: .esb]")]
Config = Annotated[Path | None, typer.Option(help="A TOML file with settings; ESB_* variables come before it.")]
Url = Annotated[str, typer.Option(envvar="ESB_URL", help="The running gateway.")]
Token = Annotated[
    str | None,
    typer.Option(envvar="ESB_TOKEN", help="Bearer token. [default: one of --role for --tenant, made from --data-dir]"),
]
Tenant = Annotated[str, typer.Option(envvar="ESB_TENANT", help="Tenant of the token made when none is given.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout, a line each.")]
Streams = Annotated[list[str] | None, typer.Option("--stream", "-s", help="Stream; may be given more than once.")]
Type = Annotated[str | None, typer.Option("--type", "-t", help="Event type or pattern, such as order.*")]
Aggregate = Annotated[str | None, typer.Option(help="Aggregate id.")]
Where = Annotated[str | None, typer.Option(help="EventFilter as JSON, as in GraphQL.")]
Expression = Annotated[str | None, typer.Option("--expression", "-e", help='Such as "event.payload.amount > 100".')]

_T = TypeVar("_T")

DEFAULT_URL = "http://127.0.0.1:8000"


class From(StrEnum):
    """Where `esb tail` starts, besides a cursor or a time."""

    LIVE = "live"
    BEGINNING = "beginning"


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [default: 8000]")] = None,
    data_dir: DataDir = None,
    config: Config = None,
    dev: Annotated[
        bool | None, typer.Option("--dev", help="GraphiQL carries a development token (on loopback only).")
    ] = None,
) -> None:
    """Run the gateway. Without ESB_POSTGRES_URL it brings its own PostgreSQL."""
    from gateway.serve import serve as run

    settings = _settings(config, host=host, port=port, data_dir=data_dir, dev=dev)
    raise typer.Exit(run(settings))


@app.command()
def token(
    tenant: Annotated[str, typer.Option(help="The tenant it opens.")] = "dev",
    role: Annotated[list[str] | None, typer.Option(help="admin, publisher, reader or one of your own.")] = None,
    ttl: Annotated[float, typer.Option(help="Seconds it is valid.")] = 86_400,
    subject: Annotated[str, typer.Option(help="Who it stands for: the user_id of its events.")] = "local",
    client: Annotated[str | None, typer.Option(help="Which service: the source_capability of its events.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Make a token with the installation's own key and print it."""
    settings = _settings(config, data_dir=data_dir)
    print(_run(_local_token(settings, tenant, role or ["admin"], ttl, subject, client)))  # noqa: T201 - for $(esb token)


@app.command()
def publish(
    event_type: Annotated[str | None, typer.Argument(help="Type of the one event to publish.")] = None,
    payload: Annotated[str | None, typer.Argument(help="Its payload as JSON.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="NDJSON, an event a line; - is stdin.")] = None,
    stream: Annotated[str | None, typer.Option("--stream", "-s", help="Stream, else it is routed.")] = None,
    aggregate_type: Annotated[str | None, typer.Option(help="Such as User.")] = None,
    aggregate_id: Annotated[str | None, typer.Option(help="Such as usr_12345.")] = None,
    event_id: Annotated[str | None, typer.Option(help="Makes a retry safe.")] = None,
    expected_sequence: Annotated[int | None, typer.Option(help="The aggregate's version seen; 0: new.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Publish one event, or NDJSON lines from a file or stdin. Running it again repeats nothing."""
    from gateway.cli import publish as publishing

    if (file is None) == (event_type is None):
        raise typer.BadParameter("give an event type and a payload, or --file")
    remote = _remote(url, token, tenant, "publisher", data_dir)
    if file is None:
        said = {
            "eventType": event_type,
            "payload": _json(payload or "{}", "payload"),
            "stream": stream,
            "aggregateType": aggregate_type,
            "aggregateId": aggregate_id,
            "eventId": event_id,
            "expectedSequence": expected_sequence,
        }
        _print_json(_run(publishing.one(remote, {name: value for name, value in said.items() if value is not None})))
        return
    summary = _run(publishing.file(remote, file, console=err))
    if as_json:
        _print_json(summary._asdict())
    else:
        err.print(f"{summary.published:,} published, {summary.duplicates:,} already there", highlight=False)
        for number, code, message in summary.rejected[:20]:
            err.print(f"line {number}: {code}: {message}", style="red", highlight=False)
    raise typer.Exit(1 if summary.rejected else 0)


@app.command()
def tail(
    stream: Streams = None,
    event_type: Type = None,
    aggregate: Aggregate = None,
    where: Where = None,
    expression: Expression = None,
    start: Annotated[From, typer.Option("--from", help="Where to start.")] = From.LIVE,
    cursor: Annotated[str | None, typer.Option(help="Start after this cursor.")] = None,
    since: Annotated[str | None, typer.Option(help="Start at this time of recording (RFC 3339).")] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", help="Stop after so many events.")] = None,
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
    _run(
        tailing.run(
            _remote(url, token, tenant, "reader", data_dir),
            streams=stream,
            where=_filter(event_type, aggregate, where, expression),
            start=begin,
            as_json=as_json,
            count=count,
            console=Console() if not as_json else err,
        )
    )


@app.command()
def events(
    stream: Streams = None,
    event_type: Type = None,
    aggregate: Aggregate = None,
    where: Where = None,
    expression: Expression = None,
    count: Annotated[int, typer.Option("--count", "-n", help="At most so many.")] = 20,
    newest: Annotated[bool, typer.Option("--newest", help="The newest first.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Ask for stored events."""
    from gateway.cli import reading

    _run(
        reading.events(
            _remote(url, token, tenant, "reader", data_dir),
            streams=stream,
            where=_filter(event_type, aggregate, where, expression),
            count=count,
            newest=newest,
            show=_print_json if as_json else reading.shower(Console()),
        )
    )


@app.command()
def streams(
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the streams the token may see."""
    from gateway.cli import reading

    found = _run(reading.streams(_remote(url, token, tenant, "reader", data_dir)))
    if as_json:
        for stream in found:
            _print_json(stream)
    else:
        Console().print(reading.table(found))


@app.command()
def demo(
    speed: Annotated[float, typer.Option(help="Seconds of 2013 a second; 0: as fast as it goes.")] = 600,
    limit: Annotated[int | None, typer.Option(help="Publish at most so many events.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    tenant: Tenant = "dev",
    data_dir: DataDir = None,
) -> None:
    """Feed the running gateway with real flights (New York City, 2013). Goes on where the last run ended."""
    from gateway.cli import demo as flights
    from gateway.cli.doctor import cache_folder

    if speed < 0:
        raise typer.BadParameter("the speed is 0 or more", param_hint="--speed")
    remote = _remote(url, token, tenant, "admin", data_dir)
    published = _run(flights.run(remote, cache_folder(), speed=speed, limit=limit, console=err))
    err.print(f"{published:,} events published", highlight=False)


@app.command()
def migrate(data_dir: DataDir = None, config: Config = None) -> None:
    """Bring the database up to this version's schema; safe to run at any time, by any number of processes."""
    from gateway.cli.access import database_url
    from store.migrate import current, upgrade

    settings = _settings(config, data_dir=data_dir)

    async def work() -> tuple[str | None, str | None]:
        async with database_url(settings) as dsn:
            before = await asyncio.to_thread(current, dsn)
            await asyncio.to_thread(upgrade, dsn, settings.postgres_reader_role)
            return before, await asyncio.to_thread(current, dsn)

    before, after = _run(work())
    err.print(f"schema {before or '(none)'} → {after}" if before != after else f"schema {after} is up to date")


@app.command()
def doctor(
    host: Annotated[str | None, typer.Option(help="Where the gateway should listen.")] = None,
    port: Annotated[int | None, typer.Option(help="Where the gateway should listen.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say what is configured, reachable and of which version, and what to do about the rest."""
    from gateway.cli import doctor as examination

    findings = _run(examination.examine(_settings(config, host=host, port=port, data_dir=data_dir)))
    if as_json:
        for finding in findings:
            _print_json(finding._asdict())
    else:
        examination.show(findings, Console())
    raise typer.Exit(1 if examination.failed(findings) else 0)


@route.command("explain")
def explain(
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

    said = {"eventType": event_type, "payload": _json(payload, "payload")} | ({"stream": stream} if stream else {})
    answer = _run(reading.explain_route(_remote(url, token, tenant, "admin", data_dir), said))
    if as_json:
        _print_json(answer)
    else:
        Console().print(f"[bold]{answer['stream']['streamName']}[/]: {answer['why']}", highlight=False)


@epoch.command("bump")
def bump(
    tenant: Annotated[str, typer.Option(help="The tenant whose log was restored.")],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Begin a new epoch of a restored log: cursors from before are refused, never silently wrong."""
    from gateway.cli.access import database_url

    settings = _settings(config, data_dir=data_dir)

    async def work() -> int:
        from store.database import Database
        from store.tenants import Tenants

        async with database_url(settings) as dsn:
            database = Database(dsn, reader_role=settings.postgres_reader_role, max_size=1)
            await database.start()
            try:
                return (await Tenants(database).bump_epoch(tenant)).epoch
            finally:
                await database.close()

    err.print(f"tenant {tenant} is in epoch {_run(work())}", highlight=False)


def _settings(config: Path | None, **arguments: Any) -> "Settings":
    from gateway.settings import SettingsInvalid, load_settings

    try:
        return load_settings(config, **arguments)
    except SettingsInvalid as error:
        err.print(f"[red]configuration:[/] {error}", highlight=False)
        raise typer.Exit(2) from None


def _remote(url: str, token: str | None, tenant: str, role: str, data_dir: Path | None) -> "Remote":
    from gateway.cli.remote import Remote

    if token is None:
        token = _run(_local_token(_settings(None, data_dir=data_dir), tenant, [role], 86_400, "local", "esb-cli"))
    return Remote(url, token)


async def _local_token(
    settings: "Settings", tenant: str, roles: list[str], ttl: float, subject: str, client: str | None
) -> str:
    from gateway.cli.access import token_issuer

    async with token_issuer(settings) as issuer:
        return issuer.issue(tenant, roles, ttl, subject=subject, client=client)


def _filter(
    event_type: str | None, aggregate: str | None, where: str | None, expression: str | None
) -> dict[str, Any] | None:
    leaves: list[dict[str, Any]] = []
    if event_type:
        leaves.append({"eventType": {"pattern" if "*" in event_type else "eq": event_type}})
    if aggregate:
        leaves.append({"aggregateId": {"eq": aggregate}})
    if where:
        leaves.append(_json(where, "--where"))
    if expression:
        leaves.append({"expression": expression})
    return {"and": leaves} if leaves else None


def _json(text: str, name: str) -> Any:
    import orjson

    try:
        return orjson.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=name) from None


def _print_json(document: Any) -> None:
    import orjson

    sys.stdout.write(orjson.dumps(document).decode() + "\n")


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end; a failure is one line on stderr and exit code 1, Ctrl-C is no failure."""
    from schema.errors import EsbError
    from store.embedded import EmbeddedPostgresError

    try:
        return asyncio.run(work)
    except EsbError as error:
        err.print(f"[red]{error.code}:[/] {error.message}", highlight=False)
    except (EmbeddedPostgresError, RuntimeError, OSError) as error:
        err.print(f"[red]failed:[/] {error}", highlight=False)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    raise typer.Exit(1)


def main() -> None:
    """Entry point."""
    app()
