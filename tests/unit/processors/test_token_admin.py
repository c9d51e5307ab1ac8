"""Who may revoke what, and which tokens that hits."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from processors.revoked_tokens import RevokedTokens
from processors.token_admin import TokenAdmin
from schema.errors import ErrorCode, EsbError
from schema.principal import Action, Grant, Principal
from schema.revocation import Revocation, RevocationKind, RevocationRequest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKEN, SUBJECT, CLIENT = RevocationKind.TOKEN, RevocationKind.SUBJECT, RevocationKind.CLIENT
ANN = Principal(
    tenant="acme",
    subject="ann",
    client="shop",
    grants=(Grant(Action.READ),),
    expires_at=NOW.timestamp() + 600,
    token_id="t1",
    issued_at=NOW.timestamp() - 60,
)
ADMIN = msgspec.structs.replace(ANN, subject="root", token_id="t0", grants=(Grant(Action.MANAGE),))


class Rows:
    """Keeps what is recorded, and has it in force."""

    def __init__(self) -> None:
        self.made: list[Revocation] = []
        self.tokens = RevokedTokens()
        self.full = False

    async def add(self, request: RevocationRequest) -> Revocation | None:
        if self.full:
            return None
        made = Revocation(**msgspec.structs.asdict(request), number=len(self.made) + 1, revoked_at=NOW)
        self.made.append(made)
        self.tokens.add(made)
        return made


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def admin(rows: Rows) -> TokenAdmin:
    return TokenAdmin(rows, token_life_s=86400, now=lambda: NOW)


def with_(principal: Principal = ANN, **changes: object) -> Principal:
    return msgspec.structs.replace(principal, **changes)


async def test_one_token_is_refused_and_its_neighbours_are_not(rows: Rows, admin: TokenAdmin) -> None:
    made = await admin.revoke(ADMIN, TOKEN, "t1", reason="lost")
    assert (made.by, made.reason, made.expires_at) == ("root", "lost", NOW + timedelta(days=1))
    assert rows.tokens.hold(ANN)
    assert not rows.tokens.hold(with_(token_id="t2"))
    assert not rows.tokens.hold(with_(token_id=None))
    assert not rows.tokens.hold(with_(tenant="other"))


@pytest.mark.parametrize(("kind", "value"), [(SUBJECT, "ann"), (CLIENT, "shop")])
async def test_all_that_a_subject_or_client_was_issued_by_then(
    rows: Rows, admin: TokenAdmin, kind: RevocationKind, value: str
) -> None:
    await admin.revoke(ADMIN, kind, value)
    other = {"subject": "bob"} if kind is SUBJECT else {"client": "till"}
    assert rows.tokens.hold(ANN)
    assert rows.tokens.hold(with_(token_id=None))
    assert rows.tokens.hold(with_(issued_at=None))
    assert not rows.tokens.hold(with_(issued_at=NOW.timestamp()))
    assert not rows.tokens.hold(with_(**other))
    assert not rows.tokens.hold(with_(tenant="other"))


async def test_only_those_issued_before_an_instant(rows: Rows, admin: TokenAdmin) -> None:
    await admin.revoke(ADMIN, SUBJECT, "ann", before=NOW - timedelta(seconds=90))
    assert not rows.tokens.hold(ANN)
    assert rows.tokens.hold(with_(issued_at=NOW.timestamp() - 91))
    await admin.revoke(ADMIN, SUBJECT, "ann", before=NOW - timedelta(seconds=120))
    assert rows.tokens.hold(with_(issued_at=NOW.timestamp() - 91))  # an earlier cut takes nothing back


@pytest.mark.parametrize(
    "grants", [(), (Grant(Action.READ),), (Grant(Action.MANAGE, "orders-*"),), (Grant(Action.AUDIT),)]
)
async def test_revoking_needs_the_right_to_manage_every_stream(admin: TokenAdmin, grants: tuple[Grant, ...]) -> None:
    caller = with_(grants=grants)
    for kind, value in ((TOKEN, "t2"), (SUBJECT, "ann"), (CLIENT, "shop")):
        with pytest.raises(EsbError) as caught:
            await admin.revoke(caller, kind, value)
        assert caught.value.code is ErrorCode.FORBIDDEN


async def test_anybody_may_give_up_the_token_he_calls_with(rows: Rows, admin: TokenAdmin) -> None:
    made = await admin.revoke(ANN, TOKEN, "t1")
    assert rows.tokens.hold(ANN)
    assert made.expires_at.timestamp() == ANN.expires_at  # for no longer than it would have opened anything


@pytest.mark.parametrize(
    ("kind", "value", "more"),
    [
        (TOKEN, "", {}),
        (SUBJECT, "x" * 257, {}),
        (SUBJECT, "a\x00b", {}),
        (TOKEN, "t2", {"before": NOW}),
        (SUBJECT, "ann", {"before": NOW + timedelta(minutes=1)}),
        (SUBJECT, "ann", {"before": datetime(2026, 1, 1)}),
        (SUBJECT, "ann", {"reason": "x" * 501}),
    ],
)
async def test_nonsense_is_refused_and_nothing_is_recorded(
    rows: Rows, admin: TokenAdmin, kind: RevocationKind, value: str, more: dict[str, object]
) -> None:
    with pytest.raises(EsbError) as caught:
        await admin.revoke(ADMIN, kind, value, **more)  # type: ignore[arg-type]
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert rows.made == []


async def test_too_many_are_refused_with_what_to_do(rows: Rows, admin: TokenAdmin) -> None:
    rows.full = True
    with pytest.raises(EsbError) as caught:
        await admin.revoke(ADMIN, TOKEN, "t2")
    assert caught.value.code is ErrorCode.RATE_LIMITED


async def test_what_can_hit_nothing_any_more_is_forgotten(rows: Rows, admin: TokenAdmin) -> None:
    await admin.revoke(ANN, TOKEN, "t1")
    await admin.revoke(ADMIN, SUBJECT, "bob")
    assert len(rows.tokens) == 2
    rows.tokens.forget(NOW.timestamp() + 3600)
    assert len(rows.tokens) == 1
    rows.tokens.forget(NOW.timestamp() + 2 * 86400)
    assert len(rows.tokens) == 0
