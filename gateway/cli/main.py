"""`esb`: run the gateway, publish to it, follow it, look after it. Each command imports what it needs when it runs."""

import typer

from gateway.cli import client, installation, replay

app = typer.Typer(
    name="esb",
    help="The Event Streaming Bus: publish events, follow them live, ask for the past.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
route = typer.Typer(help="Routing: which stream takes an event.", no_args_is_help=True)
epoch = typer.Typer(help="Epochs: after a log was restored or failed over.", no_args_is_help=True)

for command in (
    installation.serve,
    installation.token,
    installation.revoke,
    client.publish,
    client.tail,
    client.events,
    client.streams,
    client.demo,
    installation.migrate,
    installation.doctor,
):
    app.command()(command)
route.command("explain")(client.explain_route)
epoch.command("bump")(installation.bump_epoch)
app.add_typer(route, name="route")
app.add_typer(epoch, name="epoch")
app.add_typer(replay.app, name="replay")


def main() -> None:
    """Entry point."""
    app()
