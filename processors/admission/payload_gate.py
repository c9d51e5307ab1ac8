"""Whether an event's payload is what its schema says: the one place between routing and commit where that is asked.

A stream's `schema_enforcement` decides what follows. ENFORCE: an event without a schema, or against it, is refused.
WARN: it is taken, counted and logged. An event that says no version is held against its type's newest one, which is
then written into it.
"""

import logging
import time
from typing import Any, Protocol

from schema.errors import ErrorCode, EsbError
from schema.input import EventInput
from schema.payloads.formats import Validator
from schema.stream import SchemaEnforcement, Stream

_log = logging.getLogger(__name__)
_LOG_EVERY_S = 1.0
_MAX_REMEMBERED = 1000


class KnownVersion(Protocol):
    """A version of a type's schema."""

    @property
    def version(self) -> str:
        """As events say it."""

    @property
    def definition_id(self) -> int:
        """What its validator is found by."""


class TenantSchemas(Protocol):
    """A tenant's schemas as one process sees them."""

    def find(self, event_type: str, version: str | None) -> KnownVersion | None:
        """That version of the type's schema, the newest where none is said."""


class PayloadSchemas(Protocol):
    """Where schemas come from."""

    async def view(self, tenant: str) -> TenantSchemas:
        """The schemas this process knows of."""

    async def refresh(self, tenant: str) -> TenantSchemas:
        """The schemas as the store has them now."""

    def validator(self, definition_id: int) -> Validator | None:
        """What applies a definition, if this process made it already."""

    async def prepare(self, tenant: str, definition_id: int) -> None:
        """Make it."""


class SchemaRecorder(Protocol):
    """What telemetry learns of payloads against their schema."""

    def violated(self, enforcement: SchemaEnforcement) -> None:
        """One event was not what its schema says."""


class UnknownSchema(EsbError):
    """This process knows no such schema: another may have registered it a moment ago."""


class Unprepared(EsbError):
    """This process has not made the schema's validator yet."""

    def __init__(self, definition_id: int) -> None:
        super().__init__(ErrorCode.INTERNAL, "the schema was not prepared")
        self.definition_id = definition_id


class PayloadGate:
    """The gate for the events of one request. `settled`: the store was asked; what is unknown now does not exist."""

    def __init__(
        self, schemas: PayloadSchemas, known: TenantSchemas, recorder: SchemaRecorder, *, settled: bool = False
    ) -> None:
        self._schemas = schemas
        self._known = known
        self._recorder = recorder
        self._settled = settled

    def version_for(self, stream: Stream, said: EventInput, payload: Any) -> str | None:
        """The schema version to write into the event. Raises SCHEMA_VIOLATION, UnknownSchema, Unprepared."""
        if stream.schema_enforcement is SchemaEnforcement.OFF:
            return said.schema_version
        found = self._known.find(said.event_type, said.schema_version)
        if found is None:
            return self._refuse(stream, said, _unknown(said))
        checked = self._schemas.validator(found.definition_id)
        if checked is None:
            raise Unprepared(found.definition_id)
        if checked.accepts(payload):
            return found.version
        return self._refuse(stream, said, _violation(said, found.version, checked, payload))

    def _refuse(self, stream: Stream, said: EventInput, error: EsbError) -> str | None:
        if isinstance(error, UnknownSchema) and not self._settled:
            raise error
        self._recorder.violated(stream.schema_enforcement)
        if stream.schema_enforcement is SchemaEnforcement.ENFORCE:
            raise error
        _warn(stream, said, error)
        return said.schema_version


_warned: dict[tuple[str, str], float] = {}


def _warn(stream: Stream, said: EventInput, error: EsbError) -> None:
    """Log at most once a second for each type: a publisher that is wrong is wrong with every event. Never the payload's
    values, which may be personal.
    """
    now, key = time.monotonic(), (stream.tenant, said.event_type)
    if now - _warned.get(key, 0.0) < _LOG_EVERY_S:
        return
    if len(_warned) >= _MAX_REMEMBERED:
        _warned.clear()
    _warned[key] = now
    details = error.details or {}
    paths = [problem["path"] for problem in details.get("problems", ())]
    _log.warning(
        "payload against its schema: tenant %s, stream %s, type %s, version %s, at %s",
        stream.tenant,
        stream.stream_name,
        said.event_type,
        details.get("schema_version"),
        paths or "no such schema",
    )


def _unknown(said: EventInput) -> UnknownSchema:
    what = f"version {said.schema_version!r} of the schema" if said.schema_version else "schema"
    return UnknownSchema(
        ErrorCode.SCHEMA_VIOLATION,
        f"there is no {what} for {said.event_type!r}, and its stream enforces schemas: register it with registerSchema",
        details={"event_type": said.event_type, "schema_version": said.schema_version},
    )


def _violation(said: EventInput, version: str, checked: Validator, payload: Any) -> EsbError:
    problems = checked.violations(payload)
    first = f"{problems[0].path or 'payload'}: {problems[0].message}" if problems else "it is not what the schema says"
    return EsbError(
        ErrorCode.SCHEMA_VIOLATION,
        f"the payload is against version {version!r} of the schema for {said.event_type!r}: {first}",
        details={
            "event_type": said.event_type,
            "schema_version": version,
            "problems": [{"path": problem.path, "message": problem.message} for problem in problems],
        },
    )
