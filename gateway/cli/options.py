"""The options that several commands share, so that they are called and explained alike everywhere."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8000"

DataDir = Annotated[Path | None, typer.Option(help="Where the embedded PostgreSQL rests.", show_default=".esb")]
Config = Annotated[Path | None, typer.Option(help="A TOML file with settings; ESB_* variables come before it.")]

Url = Annotated[str, typer.Option(envvar="ESB_URL", help="The running gateway.")]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="ESB_TOKEN", help="Bearer token.", show_default="one for --tenant, made with the key in --data-dir"
    ),
]
Tenant = Annotated[str, typer.Option(envvar="ESB_TENANT", help="Tenant of the token made when none is given.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout, a line each.")]

Streams = Annotated[list[str] | None, typer.Option("--stream", "-s", help="Stream; may be given more than once.")]
Type = Annotated[str | None, typer.Option("--type", "-t", help="Event type or pattern, such as order.*")]
Aggregate = Annotated[str | None, typer.Option(help="Aggregate id.")]
Where = Annotated[str | None, typer.Option(help="EventFilter as JSON, as in GraphQL.")]
Expression = Annotated[str | None, typer.Option("--expression", "-e", help='Such as "event.payload.amount > 100".')]
