"""Revocations: tokens that stop to open anything before they expire."""

from datetime import datetime
from enum import StrEnum

import msgspec


class RevocationKind(StrEnum):
    """What a revocation names: one token (its `jti`), or every token of a subject or of a client."""

    TOKEN = "token"  # noqa: S105 -- the word, not a secret
    SUBJECT = "subject"
    CLIENT = "client"


class RevocationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to revoke in a tenant.

    `before`: tokens issued before it; of one token it says nothing, so that is always whole. `expires_at`: when the
    last token it may hit has expired, and the revocation may be forgotten. `by`: who asked. `reason`: why, in words.
    """

    tenant: str
    kind: RevocationKind
    value: str
    before: datetime
    expires_at: datetime
    by: str | None = None
    reason: str | None = None


class Revocation(RevocationRequest, frozen=True, kw_only=True):
    """A revocation as recorded. `number`: grows with every one that is made, in the order they were committed."""

    number: int
    revoked_at: datetime
