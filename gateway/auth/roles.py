"""Roles: names a token carries, turned into grants."""

from collections.abc import Iterable, Mapping

from schema.principal import Action, Grant

_BUILT_IN: dict[str, tuple[Grant, ...]] = {
    "admin": tuple(Grant(action) for action in Action),
    "publisher": (Grant(Action.PUBLISH),),
    "reader": (Grant(Action.READ),),
}


class Roles:
    """The built-in roles admin, publisher and reader, and the installation's own: name → action → stream patterns."""

    def __init__(self, own: Mapping[str, Mapping[Action, Iterable[str]]] | None = None) -> None:
        self._grants = _BUILT_IN | {
            name: tuple(Grant(action, pattern) for action, patterns in actions.items() for pattern in patterns)
            for name, actions in (own or {}).items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self._grants

    def names(self) -> list[str]:
        """Every role there is, sorted."""
        return sorted(self._grants)

    def grants(self, names: Iterable[str]) -> tuple[Grant, ...]:
        """What the roles allow together. Unknown names grant nothing: an identity provider has roles for others too."""
        return tuple(dict.fromkeys(grant for name in names for grant in self._grants.get(name, ())))
