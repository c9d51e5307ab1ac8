"""Subscribers of one log who asked the same: what comes is made into messages once, and handed to each of them.

A member is *direct* while nothing waits for it and its outlet takes messages at once: a turn costs it one call. All
others take the events into their own buffers, where their overflow policy guards them (see `subscription`).
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from processors.live.items import Delivered, Item, Progress
from processors.live.shape import Gather, Shape, Sign
from processors.live.turn import Outlet, Step, Turn
from processors.live.weight import weight
from schema.cursor import Cursor
from schema.errors import EsbError

PROGRESS_SECONDS = 5.0
GATHERED_BYTES = 1024 * 1024

_log = logging.getLogger(__name__)


class Member(Protocol):
    """One subscriber's ear at one log."""

    def push(self, items: Sequence[Delivered]) -> None:
        """Take wanted events into its own buffer. Never blocks."""

    def fall_back(self, turn: Turn) -> None:
        """Its outlet did not take the turn: it is not direct any more, and takes these events into its buffer."""

    def fail(self, error: EsbError) -> None:
        """The log cannot be followed any more."""


class Group:
    """The members that share a query and a shape. Without a shape nobody is direct."""

    __slots__ = (
        "_before",
        "_buffered",
        "_direct",
        "_gather",
        "_gathered",
        "_gathered_bytes",
        "_quiet_since",
        "_said",
        "_shape",
        "_sign",
        "_timer",
    )

    def __init__(self, shape: Shape | None, gather: Gather, sign: Sign) -> None:
        self._shape = shape
        self._gather = gather
        self._sign = sign
        self._buffered: dict[Member, None] = {}
        self._direct: dict[Member, Outlet] = {}
        self._gathered: list[Delivered] = []
        self._gathered_bytes = 0
        self._before: Cursor | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._quiet_since = time.monotonic()
        self._said: Cursor | None = None

    def __len__(self) -> int:
        """Members."""
        return len(self._buffered) + len(self._direct)

    def add(self, member: Member) -> None:
        """From the next event on; not direct yet."""
        self._buffered[member] = None

    def remove(self, member: Member) -> None:
        """From now on; unknown ones are ignored."""
        self._buffered.pop(member, None)
        self._direct.pop(member, None)
        if not self._direct:
            self._forget()

    def go_direct(self, member: Member, outlet: Outlet, place: Cursor) -> None:
        """Send what comes from now on to its outlet. The member has taken everything pushed so far. `place`: the
        tailer's, where nobody needs to be told of progress yet.
        """
        self._flush()  # what was gathered before is not for it
        del self._buffered[member]
        self._direct[member] = outlet
        self._said = place

    def come_back(self, member: Member) -> None:
        """Let a direct member take events into its own buffer again; it has been sent everything until now."""
        self._flush()
        if self._direct.pop(member, self) is not self:
            self._buffered[member] = None

    def push(self, items: Sequence[Delivered], step: Step) -> None:
        """Wanted events of one hand-out, in log order."""
        if self._buffered:
            for member in list(self._buffered):
                member.push(items)
        if not self._direct:
            return
        if self._gather.max_wait_s:
            self._gather_more(items, step.before)
        elif len(items) <= self._gather.max_events:
            self._hand_out(items, step)
        else:
            self._send_in_parts(items, step.before)

    def pulse(self, now: float, place: Cursor) -> None:
        """To be called about once a second: says `Progress` after a quiet while. `place`: the tailer's."""
        if self._direct and self._before is None and now - self._quiet_since >= PROGRESS_SECONDS:
            self._quiet_since = now
            if place != self._said:
                self._said = place
                self._send([Progress(place, datetime.now(UTC))], place)

    def fail(self, error: EsbError) -> None:
        """End every member."""
        for member in [*self._buffered, *self._direct]:
            member.fail(error)

    def _send_in_parts(self, items: Sequence[Delivered], before: Cursor) -> None:
        fallen: list[Member] = []
        for start in range(0, len(items), self._gather.max_events):
            part = items[start : start + self._gather.max_events]
            for member in fallen:
                member.push(part)
            fallen += self._send(part, before)
            before = part[-1].cursor

    def _gather_more(self, items: Sequence[Delivered], before: Cursor) -> None:
        for index, item in enumerate(items):
            if self._before is None:
                self._before = before
                self._timer = asyncio.get_running_loop().call_later(self._gather.max_wait_s, self._flush)
            self._gathered.append(item)
            self._gathered_bytes += weight(item.event)
            if len(self._gathered) >= self._gather.max_events or self._gathered_bytes >= GATHERED_BYTES:
                for member in self._flush():
                    member.push(items[index + 1 :])
            before = item.cursor

    def _flush(self) -> Sequence[Member]:
        """Send what was gathered; those who did not take it."""
        items, before = self._gathered, self._before
        self._forget()
        return self._send(items, before) if items and before is not None else ()

    def _forget(self) -> None:
        self._gathered, self._gathered_bytes, self._before = [], 0, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hand_out(self, items: Sequence[Delivered], step: Step) -> None:
        assert self._shape is not None
        try:
            turn = step.turn(self._shape, items)
        except Exception:
            self._give_up(items, step.before)
            return
        step.delivered += len(items) * len(self._direct)
        self._quiet_since = step.now
        self._pass_on(turn)

    def _send(self, items: Sequence[Item], before: Cursor) -> Sequence[Member]:
        """As `_hand_out`, of items that make a turn of their own; those who did not take it."""
        assert self._shape is not None
        try:
            messages = self._shape.messages(items, self._sign, caught_up=True)
        except Exception:
            return self._give_up(items, before)
        if not messages:
            return ()
        self._quiet_since = time.monotonic()
        return self._pass_on(Turn(items, before, messages, self._sign))

    def _pass_on(self, turn: Turn) -> Sequence[Member]:
        left: list[Member] = []
        for member, outlet in self._direct.items():
            try:
                if not outlet.send(turn):
                    left.append(member)
            except Exception:
                _log.exception("an outlet failed")
                left.append(member)
        for member in left:
            self._fall_back(member, turn)
        return left

    def _give_up(self, items: Sequence[Item], before: Cursor) -> Sequence[Member]:
        """No message could be made: each member meets the failure by itself, and tells its client of it."""
        _log.exception("a message could not be made")
        turn, members = Turn(items, before, (), self._sign), list(self._direct)
        for member in members:
            self._fall_back(member, turn)
        return members

    def _fall_back(self, member: Member, turn: Turn) -> None:
        self._direct.pop(member, None)
        self._buffered[member] = None
        member.fall_back(turn)
