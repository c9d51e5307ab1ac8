"""A gateway as users run it: ``esb serve`` in a process of its own, for end-to-end and fault tests."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from deploy.local.service import Service
from tests.services.external import VARIABLES

ESB = Path(sys.executable).with_name("esb")


class GatewayProcess(Service):
    """One ``esb serve``: started, drained, killed, frozen and started again on the same port and data folder.

    Parameters
    ----------
    data_dir:
        Its ``--data-dir``.
    settings:
        ``ESB_*`` variables it is given; of the services' URLs in our own environment it sees nothing.
    arguments:
        More arguments of ``esb serve``.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None, *arguments: str) -> None:
        super().__init__(data_dir.with_name(f"{data_dir.name}.process"))
        self.data_dir = data_dir
        self._arguments = arguments
        inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        self.environment: Mapping[str, str] = {**inherited, **(settings or {})}
        self._tokens: dict[tuple[str, ...], str] = {}

    @property
    def url(self) -> str:
        """Its base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port()}"

    @property
    def websocket_url(self) -> str:
        """The same over WebSocket."""
        return f"ws://127.0.0.1:{self.port()}"

    def install(self) -> None:
        """Nothing but its folder: the gateway does the rest at its first start."""
        self.data_dir.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """As the manual says."""
        address = ("--host", "127.0.0.1", "--port", str(self.port()))
        return [str(ESB), "serve", *address, "--data-dir", str(self.data_dir), *self._arguments]

    def answers(self) -> bool:
        """Ready, not only alive."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def family(self, process: psutil.Process) -> list[psutil.Process]:
        """The gateway alone: its embedded PostgreSQL outlives a ``kill -9`` and is adopted by the next start."""
        return [process]

    def token(self, tenant: str, role: str = "admin", *arguments: str) -> str:
        """A bearer token made by ``esb token``."""
        key = (tenant, role, *arguments)
        if key not in self._tokens:
            self._tokens[key] = self.esb("token", "--tenant", tenant, "--role", role, *arguments).split()[-1]
        return self._tokens[key]

    def esb(self, *arguments: str) -> str:
        """Run another ``esb`` command on the same data folder; return what it printed."""
        command = [str(ESB), arguments[0], "--data-dir", str(self.data_dir), *arguments[1:]]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout
