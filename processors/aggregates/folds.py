"""From the declaration of a type to what folds its events."""

from typing import Any, NamedTuple, Protocol

from processors.aggregates.plugins import Plugins
from schema.aggregate import AggregateDeclaration
from schema.event import Event
from schema.folding.declared import parse_reducers
from schema.folding.fold import compile_reducers
from schema.folding.merge import MERGE_PAYLOADS

_KEPT = 1024


class Folding(Protocol):
    """A run over events."""

    def apply(self, event: Event) -> None:
        """Fold one event in; raises EsbError, and the run is over then."""

    @property
    def state(self) -> Any:
        """The state so far; going on does not change what was given out. None: there is nothing yet."""


class Folder(Protocol):
    """What folds: compiled reducers or a plug-in."""

    def begin(self, state: Any = None) -> Folding:
        """A run from a state, which it does not change."""
        ...


class TypeFold(NamedTuple):
    """How a type's events are folded. `made_by`: all that decides about a state besides the events; snapshots bear it.
    `revision`: 0 where nobody declared the type.
    """

    folder: Folder
    made_by: str
    revision: int


class Folds:
    """Compiled folds of declarations, the last thousand kept."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._kept: dict[tuple[str, int], TypeFold] = {}
        self._merging = compile_reducers(MERGE_PAYLOADS)

    def of(self, declaration: AggregateDeclaration | None) -> TypeFold:
        """The fold; raises BAD_INPUT for a plug-in that is not installed here."""
        if declaration is None:
            return TypeFold(self._merging, "0", 0)
        key = (declaration.declaration_id, declaration.revision)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            found = self._kept[key] = self.compile(declaration)
        return found

    def compile(self, declaration: AggregateDeclaration) -> TypeFold:
        """The same, not kept."""
        revision = declaration.revision
        if declaration.plugin is not None:
            plugin = self._plugins.get(declaration.plugin)
            return TypeFold(plugin, f"{revision} {plugin.name} {plugin.version}", revision)
        if declaration.reducers is None:
            return TypeFold(self._merging, str(revision), revision)
        return TypeFold(compile_reducers(parse_reducers(declaration.reducers, drop=False)), str(revision), revision)
