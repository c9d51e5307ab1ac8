"""PostgreSQL, Kafka and Redis as containers, with the life fault tests need: killed, frozen, back on the same port."""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from testcontainers.core.container import DockerContainer

from deploy.local.kafka import SETTINGS, has_broker
from deploy.local.postgres import OWNER
from deploy.local.redis import pongs
from deploy.local.service import ServiceFailed, free_port
from tests.services.postgres import accepts_connections, prepare

READY_SECONDS = 120  # a first start may have to fetch the image


class Container:
    """One service in a container on a host port of its own choosing, which it keeps over a restart.

    Parameters
    ----------
    image, inside, environment, command:
        What to run, and the port it listens on inside.
    answers:
        Whether a client is served on that host port.
    first:
        What to do once, after the first start.
    """

    def __init__(
        self,
        image: str,
        *,
        inside: int,
        url: str,
        answers: Callable[[int], bool],
        environment: Mapping[str, str] | None = None,
        command: str | None = None,
        port: int | None = None,
        first: Callable[[int], object] = lambda port: None,
    ) -> None:
        self._port = port or free_port()
        self._url = url
        self._answers = answers
        self._first = first
        self._container = DockerContainer(image, command=command, env=dict(environment or {}))
        self._container.with_bind_ports(inside, self._port)
        self._made = False

    @property
    def url(self) -> str:
        return self._url.format(port=self._port)

    def start(self) -> None:
        if not self._made:
            self._container.start()
            self._made = True
            self._wait()
            self._first(self._port)
        elif not self._running():
            self._container.get_wrapped_container().start()
            self._wait()

    def stop(self) -> None:
        if self._running():
            self.resume()
            self._container.get_wrapped_container().stop(timeout=30)

    def kill(self) -> None:
        if self._running():
            self._container.get_wrapped_container().kill()

    def pause(self) -> None:
        if self._state() == "running":
            self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        if self._state() == "paused":
            self._container.get_wrapped_container().unpause()

    def remove(self) -> None:
        """Stop it and throw its data away."""
        if self._made:
            self._container.stop()

    def _running(self) -> bool:
        return self._state() in ("running", "paused")

    def _state(self) -> str:
        if not self._made:
            return "absent"
        container = self._container.get_wrapped_container()
        container.reload()
        return str(container.status)

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers(self._port):
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{self.url} is not ready in {READY_SECONDS} s")
            time.sleep(0.1)


class Containers:
    """The three of them; leaving the block removes them."""

    def __init__(self) -> None:
        kafka_port = free_port()
        self.postgres = Container(
            "postgres:15",
            inside=5432,
            environment={"POSTGRES_HOST_AUTH_METHOD": "trust"},
            command="postgres -c max_connections=200 -c wal_level=logical",
            url=f"postgresql://{OWNER}@127.0.0.1:{{port}}/{OWNER}",
            answers=lambda port: accepts_connections(_administrator(port)),
            first=lambda port: prepare(_administrator(port)),
        )
        self.kafka = Container(
            "apache/kafka:4.1.0",
            inside=9092,
            port=kafka_port,
            environment={f"KAFKA_{name.upper().replace('.', '_')}": text for name, text in kafka(kafka_port).items()},
            url="127.0.0.1:{port}",
            answers=has_broker,
        )
        self.redis = Container(
            "redis:7",
            inside=6379,
            command="redis-server --appendonly yes",
            url="redis://127.0.0.1:{port}/0",
            answers=pongs,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for container in (self.postgres, self.kafka, self.redis):
            container.remove()


def kafka(port: int) -> Mapping[str, str]:
    """Kafka's settings inside a container: it tells clients the host's port, because they are outside."""
    return {
        **SETTINGS,
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": "1@localhost:9093",
        "heap.opts": "-Xms128m -Xmx400m",
    }


def _administrator(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"
