"""From `--url`, `--token`, `--tenant` and `--data-dir` to a connection to the gateway."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gateway.cli.process import run, settings_of

if TYPE_CHECKING:
    from gateway.cli.remote import Remote

_TOKEN_TTL_S = 86_400.0

_T = TypeVar("_T")


class Connection(NamedTuple):
    """What the user said of it. `role`: that of the token made where none was given."""

    url: str
    token: str | None
    tenant: str
    role: str
    data_dir: Path | None

    def run(self, work: Callable[["Remote"], Awaitable[_T]]) -> _T:
        """Do the work on an open connection; its failures end the process (see gateway.cli.process)."""
        return run(self._run(work))

    async def _run(self, work: Callable[["Remote"], Awaitable[_T]]) -> _T:
        from gateway.cli.remote import Remote

        async with Remote(self.url, self.token or await self._own_token()) as remote:
            return await work(remote)

    async def _own_token(self) -> str:
        from gateway.cli.access import token_issuer

        settings = settings_of(None, data_dir=self.data_dir)
        async with token_issuer(settings, only_running=True) as issuer:
            return issuer.issue(self.tenant, [self.role], _TOKEN_TTL_S, client="esb-cli")
