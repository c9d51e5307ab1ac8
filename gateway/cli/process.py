"""How a command runs: its settings, one event loop, and every failure as one line on stderr and an exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from gateway.settings import Settings

FAILED = 1
MISUSED = 2
INTERRUPTED = 130
READER_GONE = 141
"""What a shell shows for SIGPIPE: whoever read the output (`| head`) has seen enough."""

err = Console(stderr=True)

_T = TypeVar("_T")


def settings_of(config: Path | None, **arguments: Any) -> "Settings":
    """The settings of this run; those that cannot be used end it, each said on a line of its own."""
    from gateway.settings import SettingsInvalid, load_settings

    try:
        return load_settings(config, **arguments)
    except SettingsInvalid as error:
        for line in str(error).splitlines():
            complain("configuration", line)
        raise typer.Exit(MISUSED) from None


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end. A failure that was foreseen is one line and exit code 1; Ctrl-C is no failure."""
    from schema.errors import EsbError
    from store.embedded import EmbeddedPostgresError

    # asyncio's own handler only cancels the task, which does not notice while it waits for a line of stdin
    signal.signal(signal.SIGINT, _interrupt)
    try:
        return asyncio.run(work)
    except EsbError as error:
        complain(error.code.value, error.message)
    except BrokenPipeError:
        # the interpreter flushes stdout once more at its end, and would complain of the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(READER_GONE) from None
    except (EmbeddedPostgresError, RuntimeError, OSError) as error:
        complain("failed", str(error))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(FAILED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def complain(what: str, why: str) -> None:
    """One line on stderr, however long: scripts and logs read it too."""
    err.print(f"[red]{what}:[/] ", end="")
    err.print(why, markup=False, highlight=False, soft_wrap=True)


def json_of(text: str, name: str) -> Any:
    """An argument that is JSON; `name`: what the user calls it."""
    import orjson

    try:
        return orjson.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=name) from None


def instant_of(text: str, name: str) -> datetime:
    """An argument that is a time (RFC 3339, with its zone); `name`: what the user calls it."""
    import msgspec

    try:
        found: datetime = msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)])
    except msgspec.ValidationError:
        raise typer.BadParameter("a time looks like 2026-01-26T10:30:00Z", param_hint=name) from None
    return found


def print_json(document: Any) -> None:
    """One line for a program, at once."""
    import orjson

    sys.stdout.write(orjson.dumps(document).decode() + "\n")
    sys.stdout.flush()
