"""Apache Kafka from its official jars: one node that is broker and controller (KRaft)."""

import shutil
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local.service import Service, run_quietly

SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # A topic is made by whoever owns it or not at all; a typing error must not make one.
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    # After kill -9 the node waits for its own old session to end; the default 9 s would be most of a fault test.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    # Kafka's defaults want three nodes.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "log.cleaner.dedupe.buffer.size": "16777216",
}


class Kafka(Service):
    """One Kafka node.

    Parameters
    ----------
    folder:
        Where it keeps its state.
    jars:
        The folder with Kafka's jars (``packages.kafka_jars``).
    """

    def __init__(self, folder: Path, jars: Path, *, deadline: float = 90) -> None:
        super().__init__(folder, deadline=deadline)
        self._jars = jars

    @property
    def url(self) -> str:
        """The bootstrap server, ``host:port``."""
        return f"127.0.0.1:{self.port()}"

    def install(self) -> None:
        """Write the configuration and format the log folder."""
        data = self.folder / "data"
        if data.exists():
            return
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        self._configure(draft)
        cluster = run_quietly(*self._java("-Xmx128m", "kafka.tools.StorageTool", "random-uuid")).split()[-1]
        format_it = ("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._configuration))
        run_quietly(*self._java("-Xmx128m", *format_it))
        draft.rename(data)
        self._configure(data)

    def command(self) -> Sequence[str]:
        """The server with a small heap."""
        return self._java("-Xms128m", "-Xmx400m", "kafka.Kafka", str(self._configuration))

    def answers(self) -> bool:
        """Whether the cluster's metadata lists a broker: before that, producers are sent nowhere."""
        return has_broker(self.port())

    @property
    def _configuration(self) -> Path:
        return self.folder / "server.properties"

    def _configure(self, data: Path) -> None:
        controller = f"127.0.0.1:{self.port('controller-port')}"
        settings = {
            **SETTINGS,
            "listeners": f"PLAINTEXT://{self.url},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.url}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(data),
        }
        self._configuration.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _java(self, *arguments: str) -> Sequence[str]:
        program = shutil.which("java")
        if not program:
            raise FileNotFoundError("java is not installed")
        return (program, "-cp", f"{self._jars}/*", *arguments)


def has_broker(port: int) -> bool:
    """Whether a Kafka on loopback knows a broker, by one Metadata request of version 4 (kafka.apache.org/protocol)."""
    body = struct.pack(">hhih3siB", 3, 4, 1, 3, b"esb", 0, 0)  # for no topics at all, without creating any
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as answer:
                (size,) = struct.unpack(">i", answer.read(4))
                _correlation, _throttled, brokers = struct.unpack_from(">iii", answer.read(size))
                return bool(brokers)
    except (OSError, struct.error):
        return False
