"""Signals: "something changed, look again". They carry no data; a lost one costs the time until the next poll.

Topics name what changed: a tenant's log, a tenant's streams and routes, a Kafka or Redis stream.
"""

from collections.abc import Callable
from typing import Protocol

EVERYTHING = "*"
"""The topic listeners get when signals may have been lost, as after a broken connection: anything may have changed."""

REVOCATIONS = "revocations"
"""The topic of tokens revoked, in any tenant."""


def log_topic(tenant: str) -> str:
    """The tenant's ledger has new events."""
    return f"log:{tenant}"


def streams_topic(tenant: str) -> str:
    """The tenant's streams or routes changed."""
    return f"streams:{tenant}"


def projections_topic(tenant: str) -> str:
    """A projection of the tenant moved on, or was declared, rebuilt, taken back, paused or deleted."""
    return f"projections:{tenant}"


def replay_topic(replay_id: str) -> str:
    """A replay was started, paused, resumed or cancelled, or came to its end."""
    return f"replay:{replay_id}"


def schemas_topic(tenant: str) -> str:
    """The tenant's schemas changed."""
    return f"schemas:{tenant}"


def kafka_topic(stream_key: int) -> str:
    """A Kafka or Redis stream has new records."""
    return f"kafka:{stream_key}"


class Signals(Protocol):
    """Wakes listeners in every process, this one included."""

    def notify(self, topic: str) -> None:
        """Wake whoever listens, everywhere. Never blocks; many calls within a moment become one message."""

    def listen(self, callback: Callable[[str], None], *, own: bool = True) -> None:
        """Call `callback` with each topic; on the event loop, so it must not block. Lasts until `stop`.

        `own`: also with those of this process, which a listener may know of already.
        """

    async def start(self) -> None:
        """Connect. Returns after two seconds at most: when nothing answers, connecting goes on behind it."""

    async def stop(self) -> None:
        """Disconnect, within seconds whatever the other end does."""
