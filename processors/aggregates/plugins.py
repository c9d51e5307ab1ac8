"""Reducers written in Python, brought by installed packages (docs/reference/reducers.md, "Reducers in Python").

A package names them in its metadata:

    [project.entry-points."event_streaming_bus.reducers"]
    loyalty = "acme_reducers:loyalty"

and each is a function of the state (None before the first event) and the event (a dict of the specification's fields in
snake_case, `payload` and `metadata` decoded) that gives the next state as JSON, without looking at clocks or the world.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from schema.errors import ErrorCode, EsbError, bad_input
from schema.event import Event, encode_event
from schema.folding import limits

GROUP = "event_streaming_bus.reducers"

Reduce = Callable[[Any, dict[str, Any]], Any]


class PluginError(EsbError):
    """A plug-in that failed on an event; its author reads the message, so it names the event and the exception."""

    def __init__(self, plugin: str, event: Event, why: str, code: ErrorCode = ErrorCode.BAD_INPUT) -> None:
        details = {"plugin": plugin, "eventId": event.event_id, "position": event.position}
        super().__init__(
            code, f"event {event.event_id} cannot be folded by the plug-in {plugin!r}: {why}", details=details
        )


class Plugin:
    """A reducer in Python. `version`: of the distribution that brings it; another version makes other states."""

    def __init__(self, name: str, version: str, reduce: Reduce) -> None:
        self.name = name
        self.version = version
        self._reduce = reduce

    def wants(self, event_type: str) -> bool:
        """Whether an event of this type may change the state: only the plug-in itself knows."""
        return True

    def begin(self, state: Any = None) -> "PluginFolding":
        """A run over many events, from a state that it does not change."""
        return PluginFolding(self, state)

    def next(self, state: Any, event: Event) -> tuple[Any, bytes]:
        """The state after the event, and the same as JSON. `state` may be changed. Raises PluginError."""
        try:
            after = self._reduce(state, msgspec.json.decode(encode_event(event)))
            said = b"null" if after is None else msgspec.json.encode(after)
        except Exception as error:
            raise PluginError(self.name, event, f"{type(error).__name__}: {str(error)[:200]}") from error
        if len(said) > limits.MAX_STATE_BYTES:
            problem = f"the state would have {len(said)} bytes; at most {limits.MAX_STATE_BYTES}"
            raise PluginError(self.name, event, problem, ErrorCode.PAYLOAD_TOO_LARGE)
        return after, said


class PluginFolding:
    """A run of a plug-in. It may change its state in place, so what goes in and out are copies."""

    def __init__(self, plugin: Plugin, state: Any) -> None:
        self._plugin = plugin
        self._said = msgspec.json.encode(state)
        self._state = msgspec.json.decode(self._said)

    def apply(self, event: Event) -> None:
        """Fold one event in. Raises PluginError; the run is over then."""
        self._state, self._said = self._plugin.next(self._state, event)

    @property
    def state(self) -> Any:
        """The state after the events so far, as JSON says it."""
        return msgspec.json.decode(self._said)


class Plugins:
    """The plug-ins installed in this process, each loaded when first used."""

    def __init__(self, found: Mapping[str, EntryPoint]) -> None:
        self._found = found
        self._loaded: dict[str, Plugin] = {}

    @classmethod
    def installed(cls) -> "Plugins":
        """Those of all installed distributions."""
        return cls({point.name: point for point in entry_points(group=GROUP)})

    def get(self, name: str) -> Plugin:
        """The plug-in of that name; BAD_INPUT where it is not installed here, or does not load."""
        plugin = self._loaded.get(name)
        if plugin is None:
            plugin = self._loaded[name] = self._load(name)
        return plugin

    def _load(self, name: str) -> Plugin:
        point = self._found.get(name)
        if point is None:
            known = ", ".join(sorted(self._found)) or "none"
            raise bad_input(f"no reducer plug-in {name!r} is installed here; installed: {known}", field="plugin")
        try:
            reduce = point.load()
        except Exception as error:
            raise bad_input(f"the plug-in {name!r} does not load: {type(error).__name__}", field="plugin") from error
        if not callable(reduce):
            raise bad_input(f"the plug-in {name!r} is no function of a state and an event", field="plugin")
        return Plugin(name, point.dist.version if point.dist else "0", reduce)
