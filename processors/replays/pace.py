"""When each event of a replay is due: as it happened, or faster, or at once.

By `timestamp`, when it happened: an import of a year's events was recorded in a minute. Events come in the log's order;
one that happened before an earlier one is due at once.
"""

from datetime import datetime


class Pace:
    """`speed`: seconds of the events' timestamps a second; 0: everything is due at once. `clock`: the latest timestamp
    passed (seconds since 1970), None before the first event. `now`: monotonic seconds at which that was.

    Time that passes while a replay is paused, or while nobody works at it, does not count.
    """

    def __init__(self, speed: float, clock: float | None, now: float) -> None:
        self._speed = speed
        self._began = now
        self._first = clock
        self.clock = clock

    def due(self, happened: datetime) -> float:
        """The monotonic second at which an event that happened then is due."""
        if not self._speed:
            return self._began
        moment = happened.timestamp()
        if self._first is None:
            self._first = moment
        return self._began + max(0.0, moment - self._first) / self._speed

    def passed(self, happened: datetime) -> None:
        """An event that happened then was published."""
        moment = happened.timestamp()
        if self.clock is None or moment > self.clock:
            self.clock = moment
