"""Commands: load what is, decide, publish what follows, and begin again when somebody else was faster.

Nothing is locked. What was seen travels with what was decided, and the log commits it only if that is still so:
`expectedSequence` for one aggregate, a condition for whatever a filter can say.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from event_streaming_bus_client.client import Client, Event, Report
from event_streaming_bus_client.errors import GatewayError
from event_streaming_bus_client.waiting import pause

ATTEMPTS = 20
"""Times a command is decided anew before its conflict is raised."""

_CONFLICTS = ("SEQUENCE_CONFLICT", "CONDITION_FAILED")
_AGGREGATE = "query($t: String!, $i: ID!) { aggregate(type: $t, id: $i) { version state } }"
_EVENTS = """query($w: EventFilter, $a: String) { events(where: $w, first: 500, after: $a) {
  nodes { eventId eventType aggregateType aggregateId sequenceNumber position timestamp recordedAt correlationId
          causationId userId metadata payload cursor }
  pageInfo { hasNextPage endCursor } asOf } }"""

Decided: TypeAlias = Sequence[Event] | Awaitable[Sequence[Event]]


class Aggregate(NamedTuple):
    """An aggregate as it is now. `version`: 0 and `state` None where nothing has happened to it yet."""

    type: str
    id: str
    version: int
    state: Any


class Outcome(NamedTuple):
    """What a command came to. `receipts`: of the events it published, none where it decided for nothing. `attempts`:
    how often it had to decide."""

    receipts: list[dict[str, Any]]
    attempts: int


async def on_aggregate(
    bus: Client, type: str, id: str, decide: Callable[[Aggregate], Decided], *, attempts: int = ATTEMPTS
) -> Outcome:
    """Decide on one aggregate's state.

    `decide` is given the aggregate and says which events follow, in `EventInput`'s words; type and id are filled in
    where it leaves both out. It may be asked several times, so it must only decide; what it raises ends the command.
    The events commit together, and only if nothing happened to the aggregate since. Raises GatewayError:
    SEQUENCE_CONFLICT when others were faster `attempts` times in a row.
    """

    async def attempt() -> Report | None:
        found = (await bus.query(_AGGREGATE, {"t": type, "i": id}))["aggregate"] or {"version": 0, "state": None}
        seen = Aggregate(type, id, found["version"], found["state"])
        events = [_of(seen, event) for event in await _decided(decide(seen))]
        for event in events:
            if (event.get("aggregateType"), event.get("aggregateId")) == (type, id):
                event.setdefault("expectedSequence", seen.version)
                break  # the later ones follow on it in the same batch
        return await bus.publish(events) if events else None

    return await _until_settled(attempt, attempts)


async def on_events(
    bus: Client,
    where: Mapping[str, Any],
    decide: Callable[[list[dict[str, Any]]], Decided],
    *,
    attempts: int = ATTEMPTS,
) -> Outcome:
    """Decide on the events a filter finds, of whichever aggregates and ledger streams: a dynamic consistency boundary.

    `decide` is given all of them, in the log's order, and says which events follow; see `on_aggregate`. They commit
    together, and only if no event that the filter finds came since, in any ledger stream of the tenant: the token must
    grant reading all those where such events are. Raises GatewayError: CONDITION_FAILED when others were faster
    `attempts` times in a row.
    """

    async def attempt() -> Report | None:
        seen, as_of = await _matching(bus, where)
        events = [dict(event) for event in await _decided(decide(seen))]
        condition = {"noneMatching": where, "after": as_of}
        return await bus.publish(events, condition=condition) if events else None

    return await _until_settled(attempt, attempts)


async def _until_settled(attempt: Callable[[], Awaitable[Report | None]], attempts: int) -> Outcome:
    for number in range(1, attempts + 1):
        report = await attempt()
        error = report.error() if report is not None else None
        if error is None:
            return Outcome(report.receipts if report is not None else [], number)
        if error.code not in _CONFLICTS or number == attempts:
            raise error
        await pause(number, first=0.01, most=1.0)
    raise GatewayError("BAD_INPUT", "attempts must be at least 1")


async def _decided(said: Decided) -> Sequence[Event]:
    return await said if inspect.isawaitable(said) else said


def _of(aggregate: Aggregate, event: Event) -> dict[str, Any]:
    if "aggregateType" in event or "aggregateId" in event:
        return dict(event)
    return {"aggregateType": aggregate.type, "aggregateId": aggregate.id, **event}


async def _matching(bus: Client, where: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Every event the filter finds, and the cursor behind which none of them lies."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        try:
            page = (await bus.query(_EVENTS, {"w": where, "a": after}))["events"]
        except GatewayError as error:
            if error.code != "TOO_COMPLEX" or "cursor" not in error.details:
                raise
            after = error.details["cursor"]  # nothing found as far as it looked
            continue
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found, page["asOf"]
        after = page["pageInfo"]["endCursor"]
