"""The commands that run and look after an installation: they need its data folder or database, no gateway."""

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console

from gateway.cli.options import Config, DataDir, Json
from gateway.cli.process import FAILED, err, instant_of, print_json, run, settings_of


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8000")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that serve the port as one.", show_default="1")
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    dev: Annotated[
        bool | None, typer.Option("--dev", help="GraphiQL carries a development token (on loopback only).")
    ] = None,
) -> None:
    """Run the gateway. Without ESB_POSTGRES_URL it brings its own PostgreSQL."""
    from gateway.serve import serve as run_gateway

    settings = settings_of(config, host=host, port=port, workers=workers, data_dir=data_dir, dev=dev)
    raise typer.Exit(run_gateway(settings))


def token(
    tenant: Annotated[str, typer.Option(help="The tenant it opens.")] = "dev",
    role: Annotated[
        list[str] | None,
        typer.Option(help="admin, publisher, reader or one of your own; may be repeated.", show_default="admin"),
    ] = None,
    ttl: Annotated[float, typer.Option(help="Seconds it is valid.")] = 86_400,
    subject: Annotated[str, typer.Option(help="Who it stands for: the user_id of its events.")] = "local",
    client: Annotated[str | None, typer.Option(help="Which service: the source_capability of its events.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Make a token with the installation's own key and print it."""
    settings = settings_of(config, data_dir=data_dir)

    async def make() -> str:
        from gateway.cli.access import token_issuer

        async with token_issuer(settings) as issuer:
            return issuer.issue(tenant, role or ["admin"], ttl, subject=subject, client=client)

    typer.echo(run(make()))


def revoke(
    token: Annotated[
        str | None, typer.Option(envvar="ESB_REVOKE_TOKEN", help="The token itself; - reads it from stdin.")
    ] = None,
    token_id: Annotated[str | None, typer.Option("--id", help="The token's id (jti).")] = None,
    subject: Annotated[str | None, typer.Option(help="All tokens of this subject issued by now.")] = None,
    client: Annotated[str | None, typer.Option(help="All tokens of this client issued by now.")] = None,
    before: Annotated[str | None, typer.Option(help="Only tokens issued before this time (RFC 3339).")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    tenant: Annotated[str, typer.Option(help="Of --id, --subject and --client.")] = "dev",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Refuse tokens before they expire: every gateway of the installation does so within two seconds."""
    settings = settings_of(config, data_dir=data_dir)
    if sum(each is not None for each in (token, token_id, subject, client)) != 1:
        raise typer.BadParameter("give one of --token, --id, --subject and --client")

    async def work() -> str:
        from gateway.cli import revoking
        from schema.revocation import RevocationKind

        if token is not None:
            named = revoking.named_by(sys.stdin.readline().strip() if token == "-" else token, settings)  # noqa: S105
        else:
            given = {RevocationKind.TOKEN: token_id, RevocationKind.SUBJECT: subject, RevocationKind.CLIENT: client}
            kind, value = next((kind, value) for kind, value in given.items() if value is not None)
            named = revoking.Named(tenant, kind, value)
        at = instant_of(before, "--before") if before is not None else None
        made = await revoking.revoked(settings, named, before=at, reason=reason)
        return f"revoked in tenant {made.tenant}: {made.kind.value} {made.value}"

    err.print(run(work()), highlight=False, markup=False)


def migrate(data_dir: DataDir = None, config: Config = None) -> None:
    """Bring the database up to this version's schema; safe to run at any time, by any number of processes."""
    settings = settings_of(config, data_dir=data_dir)

    async def work() -> tuple[str | None, str | None]:
        from gateway.cli.access import database_url
        from store.migrate import current, upgrade

        async with database_url(settings) as dsn:
            before = await asyncio.to_thread(current, dsn)
            await asyncio.to_thread(upgrade, dsn, settings.postgres_reader_role)
            return before, await asyncio.to_thread(current, dsn)

    before, after = run(work())
    err.print(f"schema {before or '(none)'} → {after}" if before != after else f"schema {after} is up to date")


def doctor(
    host: Annotated[str | None, typer.Option(help="Where the gateway should listen.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Where the gateway should listen.", show_default="8000")] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say what is configured, reachable and of which version, and what to do about the rest."""
    from gateway.cli import doctor as examination

    findings = run(examination.examine(settings_of(config, host=host, port=port, data_dir=data_dir)))
    if as_json:
        for finding in findings:
            print_json(finding._asdict())
    else:
        examination.show(findings, Console())
    raise typer.Exit(FAILED if examination.failed(findings) else 0)


def bump_epoch(
    tenant: Annotated[str, typer.Option(help="The tenant whose log was restored.")],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Begin a new epoch of a restored log: cursors from before are refused, never silently wrong."""
    settings = settings_of(config, data_dir=data_dir)

    async def work() -> int:
        from gateway.cli.access import bumped_epoch

        return await bumped_epoch(settings, tenant)

    err.print(f"tenant {tenant} is in epoch {run(work())}", highlight=False)
