"""Declaring projections and changing them, as the caller may."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from processors.projections.applying import Applier, Reader, Step
from processors.projections.progress import Progress
from processors.projections.rights import may_read, require_manage
from processors.projections.switching import turn_to
from processors.readable import ReadableStreams
from schema.errors import ErrorCode, EsbError, bad_input
from schema.identifier import IdentifierSource
from schema.principal import Action, Principal
from schema.projections.declared import Declaration, parse_declaration
from schema.stream import StreamEngine
from store.projections.pointer import Pointer
from store.projections.registry import Projection, ProjectionRegistry, Version, Work, no_projection
from store.projections.writing import ProjectionWriter
from store.tenants import Tenants

_TAKE_BACK_S = 10.0


class Background(Protocol):
    """What works on versions in the background."""

    def call(self, version: int) -> None:
        """There is something to do for a version."""


class ProjectionAdmin:
    """The use cases of the mutations. Every one raises FORBIDDEN, and NOT_FOUND where there is no such projection."""

    def __init__(
        self,
        registry: ProjectionRegistry,
        streams: ReadableStreams,
        tenants: Tenants,
        reader: Reader,
        writer: ProjectionWriter,
        pointer: Pointer,
        background: Background,
        progress: Progress,
    ) -> None:
        self._registry = registry
        self._streams = streams
        self._tenants = tenants
        self._reader = reader
        self._writer = writer
        self._pointer = pointer
        self._background = background
        self._progress = progress
        self._identifiers = IdentifierSource()

    async def create(self, principal: Principal, said: Mapping[str, Any]) -> Projection:
        """Make a projection; its rows are made in the background. Raises BAD_INPUT, ALREADY_EXISTS, UNKNOWN_STREAM,
        UNSUPPORTED_BY_ENGINE."""
        declaration, streams = await self._read(principal, said)
        tenant = await self._tenants.get(principal.tenant)
        identity = f"prj_{self._identifiers.ulid()}"
        return self._changed(principal, await self._registry.create(tenant.key, identity, declaration, streams))

    async def update(self, principal: Principal, said: Mapping[str, Any]) -> Projection:
        """Build another version from the beginning of the log, beside the one that is read; also where nothing is
        declared anew. One that is being built is given up for it. Raises as `create` does."""
        declaration, streams = await self._read(principal, said)
        projection = await self._managed(principal, declaration.name)
        return self._changed(principal, await self._registry.build(projection.tenant, declaration, streams))

    async def roll_back(self, principal: Principal, name: str) -> Projection:
        """While another version is built: give that up. Else let the version before be read again, which then is as far
        as the one that was read; once more, and that one is back.

        Raises BAD_INPUT where there is no version before, or it stands still; TIMEOUT where it is far behind.
        """
        projection = await self._managed(principal, name)
        if not await self._registry.give_up(projection.tenant, name):
            if projection.previous is None:
                raise bad_input(f"the projection {name!r} has no version before this one")
            await self._take_back(name, projection.previous)
        found = await self._registry.find(projection.tenant, name)
        if found is None:
            raise no_projection(name)
        return self._changed(principal, found)

    async def pause(self, principal: Principal, name: str) -> Projection:
        """Apply nothing from the answer on; rows stay readable."""
        projection = await self._managed(principal, name)
        return self._changed(principal, await self._registry.pause(projection.tenant, name))

    async def resume(self, principal: Principal, name: str) -> Projection:
        """Go on; what a version stood still at is tried again."""
        projection = await self._managed(principal, name)
        return self._changed(principal, await self._registry.resume(projection.tenant, name))

    async def delete(self, principal: Principal, name: str) -> Projection:
        """Delete it and all its rows; as it was comes back."""
        projection = await self._managed(principal, name)
        return self._changed(principal, await self._registry.delete(projection.tenant, name))

    async def _read(self, principal: Principal, said: Mapping[str, Any]) -> tuple[Declaration, Sequence[int] | None]:
        principal.require(Action.MANAGE)
        declaration = parse_declaration(said)
        require_manage(principal, declaration)
        if declaration.streams is None:
            return declaration, None
        found = await self._streams.named(principal, declaration.streams)
        for stream in found:
            if stream.engine is not StreamEngine.LEDGER:
                raise EsbError(
                    ErrorCode.UNSUPPORTED_BY_ENGINE,
                    f"stream {stream.stream_name!r} is of the {stream.engine.value} engine; projections are made from"
                    " ledger streams, whose places are gapless",
                )
        return declaration, [stream.key for stream in found]

    async def _managed(self, principal: Principal, name: str) -> Projection:
        principal.require(Action.MANAGE)
        tenant = await self._tenants.get(principal.tenant)
        projection = await self._registry.find(tenant.key, name)
        if projection is None or not may_read(principal, projection):
            raise no_projection(name)
        for version in projection.versions:
            require_manage(principal, version.declaration)
        return projection

    async def _take_back(self, name: str, version: Version) -> None:
        if version.error is not None:
            raise bad_input(f"version {version.number} of {name!r} stands still: {version.error.message}")
        if version.paused:
            raise bad_input(f"the projection {name!r} is paused: resume it first")
        deadline = time.monotonic() + _TAKE_BACK_S
        while time.monotonic() < deadline:
            work = await self._registry.work(version.key)
            if work is None:
                raise bad_input(f"the projection {name!r} has no version before this one any more")
            if await self._brought_back(work, deadline):
                return
        raise EsbError(
            ErrorCode.TIMEOUT, f"version {version.number} of {name!r} is still catching up", retry_after_ms=1000
        )

    async def _brought_back(self, work: Work, deadline: float) -> bool:
        applier = Applier(*work, self._reader, self._writer)
        while time.monotonic() < deadline:
            step = await applier.step()
            if step is Step.AT_END:
                return await turn_to(applier, self._pointer)
            if step is Step.STOPPED and applier.version.error is not None:
                raise bad_input(f"version {work.version.number} stands still: {applier.version.error.message}")
            if step is not Step.MOVED:
                return False  # its worker moved it on meanwhile: look again
        return False

    def _changed(self, principal: Principal, projection: Projection) -> Projection:
        self._progress.moved(principal.tenant)
        for version in projection.versions:
            self._background.call(version.key)
        return projection
