"""PostgreSQL, Kafka and Redis for work by hand and for tests, where there is no Docker."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from deploy.local import packages
from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from deploy.local.redis import Redis
from deploy.local.service import Service, ServiceFailed

__all__ = ["Kafka", "LocalServices", "Postgres", "Redis", "ServiceFailed", "installed", "lasting", "temporary"]


class LocalServices:
    """The three of them in one folder.

    Parameters
    ----------
    folder:
        State of all three. PostgreSQL runs as another user when we are root, so every folder above must let it pass:
        a home folder does not.
    jars:
        Kafka's jars.
    """

    def __init__(self, folder: Path, jars: Path) -> None:
        self.postgres = Postgres(folder / "postgres")
        self.kafka = Kafka(folder / "kafka", jars)
        self.redis = Redis(folder / "redis")

    def start(self) -> None:
        """Start all at once; on any failure stop those that did start."""
        try:
            self._each(lambda service: service.start())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all; their data stays."""
        self._each(lambda service: service.stop())

    def environment(self) -> dict[str, str]:
        """The settings that point the gateway at them."""
        return {
            "ESB_POSTGRES_URL": self.postgres.url,
            "ESB_KAFKA_SERVERS": self.kafka.url,
            "ESB_REDIS_URL": self.redis.url,
        }

    def _each(self, act: Callable[[Service], None]) -> None:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(act, (self.postgres, self.kafka, self.redis)))


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder PostgreSQL's user may pass through, gone after the block."""
    folder = Path(tempfile.mkdtemp(prefix="esb-services-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lasting() -> Path:
    """This checkout's and user's folder for ``make services``, safe from others on the machine."""
    checkout = Path(__file__).resolve().parents[2]
    folder = Path(tempfile.gettempdir()) / f"esb-services-{os.getuid()}-{checkout.stat().st_ino}"
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ServiceFailed(f"{folder} belongs to somebody else")
    return folder


def installed(folder: Path) -> LocalServices:
    """The services in that folder, their programs installed."""
    return LocalServices(folder, packages.install())
