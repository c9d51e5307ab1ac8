"""The relay: every tenant's ledger onto its Kafka topics, exactly once for readers of committed records.

One process at a time relays a tenant's log, in position order, under a lease. Kafka's transactions, not the lease, make
it exact: the transactional id belongs to the log, and each transaction carries how far it reaches. See
processors/relay_log.py for one log's turn. Kafka being away delays the topics and nothing else.
"""

from collections.abc import Collection

from processors.relay_log import RelayLog
from processors.rota import Rota, Turn
from store.checkpoints import Checkpoints
from store.leases import Leases
from store.log.kafka_transactions import MARKER_TOPIC
from store.relay_source import RelaySource
from store.topics import Topics

PREFIX = "relay:"
LOG_TOPIC = "log:"


class Relay:
    """Relays the logs of all tenants, whichever have something to relay.

    `slots`: logs relayed at once by this process, each with a Kafka producer of its own; others take turns.
    `idle_s`: seconds after which a quiet log's producer and lease are given up.
    """

    def __init__(
        self,
        servers: str,
        source: RelaySource,
        topics: Topics,
        leases: Leases,
        checkpoints: Checkpoints,
        *,
        slots: int = 32,
        idle_s: float = 30.0,
        poll_s: float = 1.0,
        deadline_s: float = 20.0,
    ) -> None:
        self._servers = servers
        self._source = source
        self._topics = topics
        self._checkpoints = checkpoints
        self._idle_s = idle_s
        self._deadline_s = deadline_s
        self._behind: dict[str, int] = {}
        self._marked = False
        self._rota = Rota(PREFIX, leases, self._due, self._serve, slots=slots, poll_s=poll_s)

    async def start(self) -> None:
        """Begin. May be called twice."""
        await self._rota.start()

    async def stop(self) -> None:
        """End after what is in hand is given up, and give the leases back. May be called twice."""
        await self._rota.stop()

    def on_signal(self, topic: str) -> None:
        """A signal arrived: `log:{tenant}` says that a log grew. Never blocks; lost signals cost a poll's time."""
        if topic.startswith(LOG_TOPIC):
            self._rota.call(topic.removeprefix(LOG_TOPIC))

    def lag(self) -> int:
        """Events of all tenants not yet relayed, by any process, as of the last poll."""
        return sum(self._behind.values())

    async def _due(self) -> Collection[str]:
        self._behind = dict(await self._source.backlog(PREFIX))
        return self._behind.keys()

    async def _serve(self, name: str, turn: Turn) -> None:
        if not self._marked:
            await self._topics.ensure_marker(MARKER_TOPIC)
            self._marked = True
        log = await self._source.log(name)
        relay = RelayLog(log, self._servers, self._source, self._topics, self._checkpoints, self._deadline_s)
        await relay.serve(turn, self._idle_s)
