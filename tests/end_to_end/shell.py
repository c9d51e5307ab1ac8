"""`esb` as a user types it, against a running gateway, in a tenant of the test's own."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from tests.services.gateway import ESB, GatewayProcess

_DEADLINE_S = 120


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """What a program reads: JSON, a line each."""
        return [json.loads(line) for line in self.out.splitlines()]


class Shell:
    """Runs commands with the environment a user would set; `token` is ESB_TOKEN."""

    def __init__(self, gateway: GatewayProcess, tenant: str, token: str | None) -> None:
        self.environment = {
            **gateway.environment,
            "ESB_URL": gateway.url,
            "ESB_DATA_DIR": str(gateway.data_dir),
            "ESB_TENANT": tenant,
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }
        if token is not None:
            self.environment["ESB_TOKEN"] = token

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Ran:
        """To its end, whatever that is."""
        return ran(*arguments, environment=self.environment | environment, stdin=stdin)

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        """To its good end."""
        done = self.run(*arguments, stdin=stdin)
        assert done.code == 0, done
        return done

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Running beside the test, killed at the end of the block; its stdout is a pipe of lines."""
        child = subprocess.Popen(
            [str(ESB), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield child
        finally:
            child.kill()
            child.communicate()


def ran(*arguments: str, environment: Mapping[str, str] | None = None, stdin: str = "") -> Ran:
    """One command, to its end."""
    done = subprocess.run(
        [str(ESB), *arguments],
        env=dict(os.environ if environment is None else environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def read_json(stream: IO[str] | None, count: int) -> list[Any]:
    """The next lines of a running command; the test's own time limit is the deadline."""
    assert stream is not None
    lines = []
    while len(lines) < count:
        line = stream.readline()
        assert line, f"it ended after {len(lines)} of {count} lines"
        lines.append(json.loads(line))
    return lines
