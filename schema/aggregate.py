"""Aggregates: how their types are declared, which moments of theirs can be asked for, how they are named."""

import re
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

import msgspec

from schema.filter.times import format_time, parse_time

DEFAULT_SNAPSHOT_EVERY = 100
MAX_SNAPSHOT_EVERY = 1_000_000

# As publishing has it (processors.admission.envelope): a type that no event can have is not declared.
AGGREGATE_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}\Z")


class AggregateDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """A declared type. `reducers`: the contract's document; None, and no `plugin`: payloads are merged.

    `revision` grows with every change. `snapshot_every`: events between snapshots; `snapshot_max_age_ms`: how long an
    event may be without one.
    """

    declaration_id: str
    type: str
    revision: int
    reducers: list[dict[str, Any]] | None
    plugin: str | None
    snapshot_every: int
    snapshot_max_age_ms: int | None


class AtSequence(NamedTuple):
    """The events up to this sequence number."""

    number: int


class AtPosition(NamedTuple):
    """The events before this position of the log, in that epoch of it: what a cursor says."""

    position: int
    epoch: int


class AtRecorded(NamedTuple):
    """The events recorded at this time or earlier: what was known then."""

    moment: datetime


class AtHappened(NamedTuple):
    """The events whose `timestamp` is this or earlier, however late they were recorded: what is known of then."""

    moment: datetime


Moment: TypeAlias = AtSequence | AtPosition | AtRecorded | AtHappened


class AggregateName(NamedTuple):
    """An aggregate, now (`at` is None) or at a moment: what its global id says."""

    type: str
    id: str
    at: AtSequence | AtHappened | None = None


_AT = "@"


def global_id(name: AggregateName) -> str:
    """`Type:id`, `Type:id@version` or `Type:id@time`; what would be misread of the names is percent-encoded."""
    kind = name.type.replace("%", "%25").replace(":", "%3A")
    if kind[3:4] == "_":
        kind = kind.replace("_", "%5F", 1)  # not to be taken for the prefix of another kind of id
    text = f"{kind}:{name.id.replace('%', '%25').replace(_AT, '%40')}"
    match name.at:
        case AtSequence(number):
            return f"{text}{_AT}{number}"
        case AtHappened(moment):
            return f"{text}{_AT}{format_time(moment)}"
    return text


def parse_global_id(text: str) -> AggregateName | None:
    """The aggregate of a global id; None for a text that is none."""
    kind, colon, rest = text.partition(":")
    name, at, moment = rest.partition(_AT)
    if not colon or not kind or not name:
        return None
    kind, name = unquote(kind), unquote(name)
    if not at:
        return AggregateName(kind, name)
    if moment.isascii() and moment.isdigit() and len(moment) < 17:
        return AggregateName(kind, name, AtSequence(int(moment)))
    happened = parse_time(moment)
    return None if happened is None else AggregateName(kind, name, AtHappened(happened))
