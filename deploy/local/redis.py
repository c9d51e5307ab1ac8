"""Redis of the operating system, with its append-only file on, so that it keeps its data over a restart."""

import shutil
import socket
from collections.abc import Sequence

from deploy.local.service import Service


class Redis(Service):
    """One Redis server without password on loopback."""

    @property
    def url(self) -> str:
        """URL of its first database."""
        return f"redis://127.0.0.1:{self.port()}/0"

    def install(self) -> None:
        """Redis needs no more than its folder."""
        (self.folder / "data").mkdir(exist_ok=True)

    def command(self) -> Sequence[str]:
        """The server in the foreground."""
        settings = {
            "--port": str(self.port()),
            "--bind": "127.0.0.1",
            "--dir": str(self.folder / "data"),
            "--appendonly": "yes",
            "--save": "",
        }
        program = shutil.which("redis-server")
        if not program:
            raise FileNotFoundError("redis-server is not installed")
        return (program, *(word for pair in settings.items() for word in pair))

    def answers(self) -> bool:
        """PONG, and not LOADING."""
        return pongs(self.port())


def pongs(port: int) -> bool:
    """Whether a Redis on loopback serves."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
