"""Who may read a projection, and who may change it: as one may read and manage the streams it is made from."""

from schema.errors import ErrorCode, EsbError
from schema.principal import Action, Principal
from schema.projections.declared import Declaration
from store.projections.registry import Projection


def may_read(principal: Principal, projection: Projection) -> bool:
    """Whether all that any of its versions is made from may be read."""
    return all(may_read_declared(principal, version.declaration) for version in projection.versions)


def require_read(principal: Principal, declaration: Declaration) -> None:
    """Raise FORBIDDEN unless all that a version is made from may be read."""
    _require(principal, Action.READ, declaration)


def may_read_declared(principal: Principal, declaration: Declaration) -> bool:
    """Whether all that a version is made from may be read."""
    return _may(principal, Action.READ, declaration)


def require_manage(principal: Principal, declaration: Declaration) -> None:
    """Raise FORBIDDEN unless everything it is made from may be read and managed."""
    _require(principal, Action.MANAGE, declaration)
    _require(principal, Action.READ, declaration)


def _require(principal: Principal, action: Action, declaration: Declaration) -> None:
    if not _may(principal, action, declaration):
        where = "every stream" if declaration.streams is None else f"all of {', '.join(declaration.streams)}"
        raise EsbError(ErrorCode.FORBIDDEN, f"the token does not grant {action.value!r} on {where}")


def _may(principal: Principal, action: Action, declaration: Declaration) -> bool:
    if declaration.streams is None:
        return any(grant.action is action and grant.streams == "*" for grant in principal.grants)
    return all(principal.may(action, stream) for stream in declaration.streams)
