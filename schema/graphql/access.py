"""Revoking tokens, as GraphQL says it."""

from datetime import datetime

import strawberry
from strawberry import UNSET

from schema.errors import bad_input
from schema.revocation import Revocation as Recorded
from schema.revocation import RevocationKind


@strawberry.input(description="exactly one of tokenId, subject and client says which tokens of the tenant")
class RevocationInput:
    """Which tokens to refuse from now on."""

    token_id: strawberry.ID | None = strawberry.field(default=UNSET, description="one token, by its `jti`")
    subject: str | None = strawberry.field(default=UNSET, description="every token of a subject (`sub`)")
    client: str | None = strawberry.field(default=UNSET, description="every token of a client (`client_id`)")
    before: datetime | None = strawberry.field(
        default=UNSET, description="of a subject or client only those issued before; left out: all issued by now"
    )
    reason: str | None = strawberry.field(default=UNSET, description="why, for who asks later")

    def named(self) -> tuple[RevocationKind, str]:
        """What it names; raises BAD_INPUT unless that is one thing."""
        said = {
            RevocationKind.TOKEN: self.token_id,
            RevocationKind.SUBJECT: self.subject,
            RevocationKind.CLIENT: self.client,
        }
        given = [(kind, value) for kind, value in said.items() if value is not None and value is not UNSET]
        if len(given) != 1:
            raise bad_input("say exactly one of tokenId, subject and client", field="revocation")
        return given[0]


@strawberry.type(description="tokens that are refused before they expire, by every process within two seconds")
class Revocation:
    """A revocation as recorded."""

    token_id: strawberry.ID | None
    subject: str | None
    client: str | None
    before: datetime = strawberry.field(description="tokens issued before it are refused; one token by id: whenever")
    reason: str | None
    revoked_at: datetime
    revoked_by: str | None = strawberry.field(description="the subject, or else client, who asked")
    expires_at: datetime = strawberry.field(description="by then the last such token has expired")

    @classmethod
    def of(cls, one: Recorded) -> "Revocation":
        """The type of a record."""
        named = {kind: one.value if one.kind is kind else None for kind in RevocationKind}
        token_id = named[RevocationKind.TOKEN]
        return cls(
            token_id=None if token_id is None else strawberry.ID(token_id),
            subject=named[RevocationKind.SUBJECT],
            client=named[RevocationKind.CLIENT],
            before=one.before,
            reason=one.reason,
            revoked_at=one.revoked_at,
            revoked_by=one.by,
            expires_at=one.expires_at,
        )
