"""Where the external run's PostgreSQL, Kafka and Redis come from.

Those named in the environment are used as they are. The others are started: as containers where a Docker daemon
answers, else as local processes. One that cannot be had is an error, never a smaller run.
"""

import gc
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from deploy.local import services as local

EXTERNAL = os.environ.get("ESB_TEST_SERVICES", "embedded") == "external"
"""Which of the two runs this is."""

VARIABLES = ("ESB_POSTGRES_URL", "ESB_KAFKA_SERVERS", "ESB_REDIS_URL")


class Service(Protocol):
    """One service a fault test may hurt. Every method waits until it is done; all may be repeated."""

    @property
    def url(self) -> str:
        """What a client is given; the same after every restart."""

    def start(self) -> None:
        """Run and answer, with the data it had."""

    def stop(self) -> None:
        """End in good order."""

    def kill(self) -> None:
        """End by ``kill -9``."""

    def pause(self) -> None:
        """Freeze: connections stay, nothing answers."""

    def resume(self) -> None:
        """Go on."""


class Services(Protocol):
    """The three kinds, each to be started by whoever needs it."""

    @property
    def postgres(self) -> Service:
        """PostgreSQL with the role ``esb`` (no superuser, may create databases) and its database."""

    @property
    def kafka(self) -> Service:
        """Kafka with transactions."""

    @property
    def redis(self) -> Service:
        """Redis with streams."""


@contextmanager
def services() -> Iterator[Services]:
    """Services of one's own, none started yet; stopped and gone after the block."""
    with _containers() if docker_answers() else _processes() as made:
        try:
            yield made
        finally:
            for service in (made.postgres, made.kafka, made.redis):
                service.stop()


@contextmanager
def environment(*names: str) -> Iterator[Mapping[str, str]]:
    """The named ``ESB_*`` settings: what the environment has, and what had to be started beside it."""
    given = {name: os.environ[name] for name in names if os.environ.get(name)}
    if len(given) == len(names):
        yield given
        return
    with services() as ours:
        kinds = dict(zip(VARIABLES, (ours.postgres, ours.kafka, ours.redis), strict=True))
        for name in names:
            if name not in given:
                kinds[name].start()
                given[name] = kinds[name].url
        yield given


def docker_answers() -> bool:
    """Whether a Docker daemon is there. Its client may be installed alone, so the daemon itself is asked."""
    import docker
    from docker.errors import DockerException

    with warnings.catch_warnings():
        # A failed attempt leaves its socket to the garbage collector, whose warning would fail some innocent test.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=5)
            client.ping()
            client.close()
        except DockerException:
            return False
        finally:
            gc.collect()
    return True


@contextmanager
def _processes() -> Iterator[Services]:
    with local.temporary() as folder:
        yield local.installed(folder)


@contextmanager
def _containers() -> Iterator[Services]:
    from tests.services.containers import Containers

    with Containers() as made:
        yield made
