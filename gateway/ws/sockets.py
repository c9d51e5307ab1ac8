"""What all the sockets of one server share."""

import asyncio
import logging
from typing import Any, Final
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.ws.frames import Turn
from gateway.ws.keepalive import Keepalive
from processors.live.pacer import Pacer

_log = logging.getLogger("websockets.server")


class Sockets:
    """One instance a server. `limit`: connections of all kinds that may be open at once; None: any number.
    `pacer`: when handshakes are read.
    """

    def __init__(self, config: Config, state: ServerState, app_state: dict[str, Any]) -> None:
        self.loop = asyncio.get_running_loop()
        self.app = config.loaded_app
        self.root_path = config.root_path
        self.max_message_bytes = config.ws_max_size
        self.limit = config.limit_concurrency
        self.connections: set[Any] = state.connections
        self.tasks = state.tasks
        self.turn = Turn(self.loop)
        self.pacer = Pacer()
        self.keepalive = Keepalive(self.loop, config.ws_ping_interval, config.ws_ping_timeout)
        self._asgi = {"version": config.asgi_version, "spec_version": "2.4"}
        self._app_state = app_state

    def scope(self) -> dict[str, Any]:
        """What stands in every scope."""
        return {"asgi": self._asgi, "state": self._app_state.copy()}


_all: Final[WeakKeyDictionary[ServerState, Sockets]] = WeakKeyDictionary()


def sockets_of(config: Config, state: ServerState, app_state: dict[str, Any]) -> Sockets:
    """The server's; uvicorn tells each protocol anew what its server is."""
    return _all.get(state) or _all.setdefault(state, Sockets(config, state, app_state))
