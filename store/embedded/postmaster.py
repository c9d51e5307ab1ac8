"""What is running on a data folder: the postmaster, by its lock file, and what a killed one left behind."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import psutil

_POLL_S = 0.1
_GRACE_S = 1.0


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be had; the message says why and what to do."""


class Postmaster(NamedTuple):
    """A running postmaster as its lock file tells. `status`: starting, ready, standby or stopping."""

    pid: int
    socket_folder: str
    status: str


def find(cluster: Path) -> Postmaster | None:
    """The postmaster that runs on `cluster`, or None.

    The lock file (format: PostgreSQL's miscadmin.h, LOCK_FILE_LINE_*) outlives a killed server, and its number may by
    now be another program's: it counts only if that process is alive and stands in the folder.
    """
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise EmbeddedPostgresError(f"{cluster} belongs to another user: use the one that runs the gateway") from None
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    if not _stands_in(pid, cluster):
        return None
    socket_folder = lines[4].strip() if len(lines) > 4 else ""
    status = lines[7].strip() if len(lines) > 7 else "starting"
    return Postmaster(pid, socket_folder, status)


def _stands_in(pid: int, cluster: Path) -> bool:
    """Whether process `pid` is alive (a zombie is not) and works in `cluster`, as every PostgreSQL process does."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and os.path.samefile(process.cwd(), cluster)
    except (psutil.Error, OSError):
        return False


def clear_leftovers(cluster: Path, sockets: Path) -> None:
    """End what a killed postmaster left: its children hold the shared memory, and no successor starts before they go.

    Most leave by themselves at once; one in mid-query may not. Then removes the stale lock files: the successor would
    respect them where the number is another process's by now, or a zombie's whose parent was killed too. Call only as
    the folder's one supervisor.
    """
    for ask in (None, signal.SIGQUIT, signal.SIGKILL):
        left = [pid for pid in psutil.pids() if _stands_in(pid, cluster)]
        if ask is not None:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, ask)
        deadline = time.monotonic() + _GRACE_S
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = [pid for pid in left if _stands_in(pid, cluster)]
        if not left:
            break
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    for lock in sockets.glob(".s.PGSQL.*.lock"):
        lock.unlink(missing_ok=True)


async def ended(pid: int, child: subprocess.Popen[bytes] | None) -> None:
    """Wait for the end of a process, which need not be our child; a child is reaped."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # not Linux, or an old kernel
        await _ended_by_polling(pid, child)
        return
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(handle, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    if child is not None:
        child.wait()


async def _ended_by_polling(pid: int, child: subprocess.Popen[bytes] | None) -> None:
    while (child.poll() is None) if child is not None else psutil.pid_exists(pid):  # noqa: ASYNC110 -- nothing to wait on
        await asyncio.sleep(_POLL_S)
