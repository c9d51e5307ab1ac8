"""Which of many patterns over dotted names a name matches: all at once, by a trie over their segments."""

from schema.filter.pattern import ANY, ONE


class Patterns:
    """Distinct patterns. The work of a look-up follows the name and what of the patterns fits it, not their number."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root = _State(False)

    def add(self, key: str) -> None:
        """A pattern that is not there yet, already checked."""
        state = self._root
        for segment in key.split("."):
            state = state.to(segment)
        state.pattern = key

    def remove(self, key: str) -> None:
        """A pattern that is there."""
        way, state = [], self._root
        for segment in key.split("."):
            way.append((state, segment))
            state = state.to(segment)
        state.pattern = None
        for parent, segment in reversed(way):
            if state.pattern is not None or state.next:
                break
            del parent.next[segment]
            state = parent

    def find(self, value: str) -> list[str]:
        """The patterns that match `value`, each once."""
        active = _with_empty([self._root])
        for segment in value.split("."):
            after: list[_State] = []
            for state in active:
                if state.loops:
                    after.append(state)
                if state.next:
                    # A segment that is spelled like a wildcard does no harm: the wildcard takes it, as any other.
                    for step in (segment, ONE):
                        if (reached := state.next.get(step)) is not None:
                            after.append(reached)
            if not after:
                return []
            active = _with_empty(after)
        return [state.pattern for state in active if state.pattern is not None]


class _State:
    """A beginning of patterns. `loops`: it ends in `**`, which takes further segments. `pattern`: one ends here."""

    __slots__ = ("loops", "next", "pattern")

    def __init__(self, loops: bool) -> None:
        self.loops = loops
        self.next: dict[str, _State] = {}
        self.pattern: str | None = None

    def to(self, segment: str) -> "_State":
        found = self.next.get(segment)
        if found is None:
            found = self.next[segment] = _State(segment == ANY)
        return found


def _with_empty(states: list[_State]) -> dict[_State, None]:
    """The states, each once, and those reached by a `**` that stands for no segment at all."""
    found = dict.fromkeys(states)
    for state in states:
        if (rest := state.next.get(ANY)) is not None:
            found[rest] = None  # `**` is never next to `**`, so one step is all
    return found
