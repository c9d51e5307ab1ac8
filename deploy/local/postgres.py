"""PostgreSQL of the operating system, with the role and database an installation has."""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from deploy.local.service import Service, run_quietly

OWNER = "esb"
READER = "esb_reader"
ROLES = Path(__file__).resolve().parents[1] / "roles.sql"

CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 128MB
max_wal_size = 1GB
wal_level = logical
"""


class Postgres(Service):
    """PostgreSQL 15 or newer in the foreground; as root it runs as the package's user, which it insists on."""

    user = "postgres" if os.geteuid() == 0 else None
    stop_signal = signal.SIGINT  # fast shutdown: a client that stays connected must not hold it up

    @property
    def url(self) -> str:
        """DSN of the owner's database."""
        return f"postgresql://{OWNER}@127.0.0.1:{self.port()}/{OWNER}"

    def install(self) -> None:
        """Make the data folder and, through a short private start, the roles."""
        data = self.folder / "data"
        if data.exists():
            return
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.user:
            shutil.chown(draft, self.user, self.user)
        superuser = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        run_quietly(binary("initdb"), "-D", str(draft), *superuser, user=self.user)
        with (draft / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)
        for statement in setup():
            # The single-user server reads one statement a line and ends with its input.
            self._single_user(draft, statement)
        draft.rename(data)

    def command(self) -> Sequence[str]:
        """The server on its own port."""
        return (binary("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port()))

    def answers(self) -> bool:
        """As the client library sees it: accepting connections."""
        try:
            run_quietly(binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port()), "-t", "2")
        except RuntimeError:
            return False
        return True

    def _single_user(self, data: Path, statement: str) -> None:
        script = f'echo "{statement}" | "{binary("postgres")}" --single -D "{data}" postgres'
        run_quietly("sh", "-c", script, user=self.user)


def setup() -> list[str]:
    """The statements an administrator runs once."""
    return [line for line in ROLES.read_text().splitlines() if line and not line.startswith("--")]


def binary(name: str) -> str:
    """The newest installed one: Debian keeps the server's programs out of PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if not found:
        raise FileNotFoundError(f"PostgreSQL's {name} is not installed")
    return found
