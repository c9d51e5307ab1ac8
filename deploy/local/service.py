"""One real service as a process of ours: started on a free loopback port, killed, frozen and started again at will.

A service's state lives in one folder: its port, so that it comes back where it was; its pid, so that another process
can stop it; its log; its data.
"""

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil


class ServiceFailed(RuntimeError):
    """A service did not start or stop in time; the end of its log is in the message."""


class Service(ABC):
    """A service's life. Every method may be called again without harm.

    Parameters
    ----------
    folder:
        Where this one service keeps its state; made when missing.
    deadline:
        Seconds to wait until it answers after a start, and until it is gone after a stop.
    """

    user: str | None = None
    environment: Mapping[str, str] | None = None
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, *, deadline: float = 60) -> None:
        self.folder = folder.resolve()
        self.deadline = deadline
        self._child: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """What a client is given; the same after every restart."""

    @abstractmethod
    def install(self) -> None:
        """Make the folder ready for the first start; must be repeatable after being interrupted."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The server's command line, in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves a client now."""

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if not self.running():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.install()
            with self._log.open("ab") as log:
                self._child = subprocess.Popen(
                    list(self.command()),
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    user=self.user,
                    group=self.user,
                    extra_groups=[] if self.user else None,
                )
            started = psutil.Process(self._child.pid).create_time()
            self._pid_file.write_text(f"{self._child.pid} {started}")
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Ask it to end, as an administrator would; kill it when it does not."""
        if process := self._process():
            self.resume()
            process.send_signal(self.stop_signal)
            if still_alive([process], self.deadline):
                self.kill()
        self._reap()

    def kill(self) -> None:
        """``kill -9``: no last word, no flush. Returns when nothing of it is left."""
        if process := self._process():
            family = self.family(process)
            process.kill()
            # Its children see their parent go and end by themselves, as after a real crash, once they are not frozen.
            # The next start must not find them holding the data.
            for child in filter(lives, family):
                child.resume()
            for child in still_alive(family, 5):
                child.kill()
            still_alive(family, 5)
        self._reap()

    def pause(self) -> None:
        """Freeze it with all its children (SIGSTOP): connections stay open and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one go on (SIGCONT)."""
        self._signal_all(signal.SIGCONT)

    def family(self, process: psutil.Process) -> list[psutil.Process]:
        """The processes that are frozen and gone together with its first one, that one first."""
        return [process, *process.children(recursive=True)]

    def running(self) -> bool:
        """Whether its process lives, frozen or not."""
        return self._process() is not None

    @property
    def pid(self) -> int:
        """Its first process. Raises ServiceFailed when it does not run."""
        if process := self._process():
            return int(process.pid)
        raise ServiceFailed(f"{type(self).__name__} does not run")

    def log_tail(self) -> str:
        """The last words of its log."""
        return self._log.read_text(errors="replace")[-2000:] if self._log.exists() else "(no log)"

    def port(self, name: str = "port") -> int:
        """The port of that name: chosen once, kept for ever."""
        file = self.folder / name
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_text(str(free_port()))
        return int(file.read_text())

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pid"

    def _process(self) -> psutil.Process | None:
        """The living process of the pid file; its start time tells it from another one that got the same pid."""
        try:
            pid, started = self._pid_file.read_text().split()
            process = psutil.Process(int(pid))
            same = process.create_time() == float(started)
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        return process if same and lives(process) else None

    def _signal_all(self, number: signal.Signals) -> None:
        if process := self._process():
            for one in self.family(process):
                try:
                    one.send_signal(number)
                except psutil.NoSuchProcess:  # a child may end by itself at any moment
                    continue

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + self.deadline
        while not self.answers():
            if not self.running():
                self._reap()
                raise ServiceFailed(f"{type(self).__name__} ended while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{type(self).__name__} is not ready in {self.deadline} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def _reap(self) -> None:
        if self._child is not None:
            self._child.wait(self.deadline)
            self._child = None
        self._pid_file.unlink(missing_ok=True)


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie, which a container's first process may be slow to bury, does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def still_alive(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until they are gone, at most so long; return those that are not."""
    deadline = time.monotonic() + seconds
    while (alive := [process for process in processes if lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return alive


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_quietly(*command: str, user: str | None = None, cwd: Path | None = None) -> str:
    """Run a command to its end and return what it printed.

    Raises
    ------
    ServiceFailed
        It failed; what it printed is in the message.
    """
    done = subprocess.run(
        command,
        cwd=cwd or "/",
        user=user,
        group=user,
        extra_groups=[] if user else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode:
        raise ServiceFailed(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout
