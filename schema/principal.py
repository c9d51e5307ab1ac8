"""Who asks: the authenticated caller and what it may do. Made at the edge, handed down, never changed."""

from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from schema.errors import ErrorCode, EsbError


class Action(StrEnum):
    """What a grant allows on the streams its pattern names."""

    READ = "read"
    PUBLISH = "publish"
    MANAGE = "manage"
    ERASE = "erase"
    AUDIT = "audit"
    INTROSPECT = "introspect"


class Grant(msgspec.Struct, frozen=True):
    """One action on the streams whose name matches `streams` (`*` any run of characters)."""

    action: Action
    streams: str = "*"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller of one tenant.

    `subject` becomes an event's user_id, `client` its source_capability. `expires_at`, `issued_at`: seconds since 1970;
    who does not say when the token was issued may have had it for ever.
    """

    tenant: str
    subject: str | None = None
    client: str | None = None
    grants: tuple[Grant, ...] = ()
    expires_at: float = float("inf")
    token_id: str | None = None
    issued_at: float | None = None

    @property
    def read_scope(self) -> frozenset[str] | None:
        """The patterns of streams it may read, which is all that decides about what it sees; None: every stream."""
        patterns = frozenset(grant.streams for grant in self.grants if grant.action is Action.READ)
        return None if "*" in patterns else patterns

    def may(self, action: Action, stream: str | None = None) -> bool:
        """Whether `action` is granted on `stream`; on any stream at all where it is left out."""
        return any(
            grant.action is action and (stream is None or grant.streams == "*" or fnmatchcase(stream, grant.streams))
            for grant in self.grants
        )

    def require(self, action: Action, stream: str | None = None) -> None:
        """Raise FORBIDDEN unless `may`."""
        if not self.may(action, stream):
            where = f" on stream {stream!r}" if stream else ""
            raise EsbError(ErrorCode.FORBIDDEN, f"the token does not grant {action.value!r}{where}")
