"""Aggregates: declared types, and states folded from events, now or as of any moment, for those who may read them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from processors.aggregates.folds import Folds, TypeFold
from processors.aggregates.history import Bound, History, Reached
from schema.aggregate import (
    AGGREGATE_TYPE,
    DEFAULT_SNAPSHOT_EVERY,
    MAX_SNAPSHOT_EVERY,
    AggregateDeclaration,
    AtHappened,
    AtPosition,
    AtRecorded,
    AtSequence,
    Moment,
)
from schema.cursor import Cursor, CursorInvalid
from schema.errors import ErrorCode, EsbError, bad_input
from schema.folding.declared import parse_reducers, to_document
from schema.identifier import IdentifierSource
from schema.principal import Action, Principal
from store.aggregate_types import AggregateTypes, TypeState
from store.ledger.aggregates import AggregateKey
from store.tenants import Tenant, Tenants

_LEAST_AGE_MS = 1000


class AggregateInput(NamedTuple):
    """A declaration as said. `reducers`: the contract's shape; with neither them nor a `plugin` payloads are merged."""

    type: str
    reducers: Sequence[dict[str, Any]] | None = None
    plugin: str | None = None
    snapshot_every: int | None = None
    snapshot_max_age_ms: int | None = None


class Declared(NamedTuple):
    """A declared type, and the stream its events are in; None: it has none yet."""

    declaration: AggregateDeclaration
    stream: str | None


class AggregateState(NamedTuple):
    """An aggregate as of a moment. `version`, `recorded_at`: of the last event in `state`; `place`: right after it.
    `at`: the moment asked for; None: now."""

    type: str
    id: str
    version: int
    state: Any
    recorded_at: datetime
    place: Cursor
    at: Moment | None


class Aggregates:
    """The use cases. Every method may raise LOG_UNAVAILABLE and FORBIDDEN; reading a type needs READ on its stream."""

    def __init__(self, types: AggregateTypes, folds: Folds, history: History, tenants: Tenants) -> None:
        self._types = types
        self._folds = folds
        self.history = history
        self._tenants = tenants
        self._identifiers = IdentifierSource()

    async def define(self, principal: Principal, said: AggregateInput) -> Declared:
        """Declare a type or change it; and the stream it lives in. Takes effect at once, on the whole past.

        Needs MANAGE on that stream; on all streams while the type has no event yet. Raises BAD_INPUT.
        """
        principal.require(Action.MANAGE)
        if not AGGREGATE_TYPE.match(said.type):
            raise bad_input("type must be letters, digits and _ . : / -, at most 128 characters", field="type")
        tenant = await self._tenants.get(principal.tenant)
        stream = (await self._types.of(tenant, said.type)).stream
        _require_manage(principal, said.type, stream)
        wanted = self._wanted(said)
        self._folds.compile(wanted)
        return Declared(await self._types.define(tenant, wanted), stream)

    async def declared(self, principal: Principal, aggregate_type: str) -> Declared | None:
        """The declaration of a type, and its stream; None where nobody declared it."""
        principal.require(Action.READ)
        if not AGGREGATE_TYPE.match(aggregate_type):
            return None
        known = await self._types.of(await self._tenants.get(principal.tenant), aggregate_type)
        _require_read(principal, aggregate_type, known)
        return None if known.declaration is None else Declared(known.declaration, known.stream)

    async def by_id(self, principal: Principal, declaration_id: str) -> Declared | None:
        """The declaration with that id; None where there is none that the caller may see."""
        principal.require(Action.READ)
        found = await self._types.named(await self._tenants.get(principal.tenant), declaration_id)
        try:
            return None if found is None else await self.declared(principal, found)
        except EsbError as error:
            if error.code is ErrorCode.FORBIDDEN:
                return None
            raise

    async def state(
        self, principal: Principal, aggregate_type: str, aggregate_id: str, at: Moment | None = None
    ) -> AggregateState | None:
        """The aggregate at that moment, now where it is left out; None where it had no event.

        Raises BAD_INPUT for a moment that means nothing and for an event that cannot be folded, TOO_COMPLEX and
        PAYLOAD_TOO_LARGE for reducers that ask too much.
        """
        tenant, fold = await self.fold_of(principal, aggregate_type)
        key = AggregateKey(aggregate_type, aggregate_id)
        if not AGGREGATE_TYPE.match(aggregate_type) or "\0" in aggregate_id:
            return None  # no event has such names, and PostgreSQL cannot be asked for them
        bound = self.bound(tenant, at)
        if bound.last < 1 or bound.before < 2:
            return None
        return self.shown(tenant, key, await self.history.fold(tenant, key, fold, bound), at)

    async def fold_of(self, principal: Principal, aggregate_type: str) -> tuple[Tenant, TypeFold]:
        """How the type is folded at this moment, for who may read it."""
        principal.require(Action.READ)
        tenant = await self._tenants.get(principal.tenant)
        if not AGGREGATE_TYPE.match(aggregate_type):
            return tenant, self._folds.of(None)
        known = await self._types.of(tenant, aggregate_type)
        _require_read(principal, aggregate_type, known)
        return tenant, self._folds.of(known.declaration)

    @staticmethod
    def bound(tenant: Tenant, at: Moment | None) -> Bound:
        """Which events a moment means."""
        match at:
            case AtSequence(number):
                if number < 0:
                    raise bad_input("at.sequenceNumber is 0 or more", field="at")
                return Bound(last=number)
            case AtPosition(position, epoch):
                if epoch != tenant.epoch:
                    raise CursorInvalid("it is from another epoch of the log")
                return Bound(before=position)
            case AtRecorded(moment):
                return Bound(recorded=moment)
            case AtHappened(moment):
                return Bound(happened=moment)
        return Bound()

    @staticmethod
    def shown(tenant: Tenant, key: AggregateKey, reached: Reached, at: Moment | None) -> AggregateState | None:
        """What a fold reached, as callers are told; None: no event."""
        if not reached.version:
            return None
        at_ms = int(reached.recorded_at.timestamp() * 1000)
        place = Cursor(tenant.epoch, reached.position + 1, at_ms)
        return AggregateState(*key, reached.version, reached.state, reached.recorded_at, place, at)

    def _wanted(self, said: AggregateInput) -> AggregateDeclaration:
        if said.reducers is not None and said.plugin is not None:
            raise bad_input("give reducers or a plugin, not both", field="plugin")
        every = DEFAULT_SNAPSHOT_EVERY if said.snapshot_every is None else said.snapshot_every
        if not 1 <= every <= MAX_SNAPSHOT_EVERY:
            raise bad_input(f"snapshotEvery must be between 1 and {MAX_SNAPSHOT_EVERY}", field="snapshotEvery")
        age = said.snapshot_max_age_ms
        if age is not None and age < _LEAST_AGE_MS:
            raise bad_input(f"snapshotMaxAgeMs must be at least {_LEAST_AGE_MS}", field="snapshotMaxAgeMs")
        reducers = None if said.reducers is None else to_document(parse_reducers(said.reducers, drop=False))
        return AggregateDeclaration(
            declaration_id=f"agt_{self._identifiers.ulid()}",
            type=said.type,
            revision=0,
            reducers=reducers,
            plugin=said.plugin,
            snapshot_every=every,
            snapshot_max_age_ms=age,
        )


def _require_read(principal: Principal, aggregate_type: str, known: TypeState) -> None:
    if known.stream is not None and not principal.may(Action.READ, known.stream):
        raise EsbError(ErrorCode.FORBIDDEN, f"the token does not grant 'read' on aggregates of type {aggregate_type!r}")


def _require_manage(principal: Principal, aggregate_type: str, stream: str | None) -> None:
    everywhere = any(grant.action is Action.MANAGE and grant.streams == "*" for grant in principal.grants)
    if not everywhere and (stream is None or not principal.may(Action.MANAGE, stream)):
        where = "every stream, while the type has no events" if stream is None else "its stream"
        raise EsbError(ErrorCode.FORBIDDEN, f"defining aggregates of type {aggregate_type!r} needs 'manage' on {where}")
