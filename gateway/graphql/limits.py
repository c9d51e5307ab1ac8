"""What one GraphQL operation may ask for."""

from dataclasses import dataclass

from gateway.settings import Limits


@dataclass(frozen=True)
class OperationLimits:
    """Named limits of a request. Introspection does not count towards `depth`; graphql-core limits its nesting.

    `cost`: one for every object an operation may return, lists counted by their `first`.
    """

    body_bytes: int = 9 * 1024 * 1024
    document_chars: int = 128 * 1024
    tokens: int = 10_000
    depth: int = 15
    aliases: int = 100
    cost: int = 50_000
    execution_s: float = 30.0


@dataclass(frozen=True)
class ConnectionLimits:
    """Named limits of sockets and event streams. Times in seconds. `reservation_s`: from reserving an event stream to
    opening it; of those not opened yet a tenant has at most `reservations_per_tenant`."""

    init_timeout_s: float = 3.0
    send_timeout_s: float = 10.0
    heartbeat_s: float = 12.0
    message_bytes: int = 9 * 1024 * 1024
    operations_per_connection: int = 200
    subscriptions_per_tenant: int = 10_000
    reservation_s: float = 30.0
    reservations_per_tenant: int = 1000

    @classmethod
    def of(cls, limits: Limits) -> "ConnectionLimits":
        """Those of the installation's settings."""
        return cls(
            send_timeout_s=limits.send_timeout_s,
            message_bytes=limits.websocket_message_bytes,
            operations_per_connection=limits.subscriptions_per_connection,
            subscriptions_per_tenant=limits.subscriptions_per_tenant,
        )
