"""Who comes in by a socket, and when."""

from starlette.requests import HTTPConnection

from gateway.auth.authenticator import Authenticator
from gateway.auth.credentials import Credentials, bearer
from gateway.auth.origins import Origins
from gateway.graphql.socket_messages import InitPayload
from processors.live.pacer import Pacer
from schema.principal import Principal


class SocketDoor:
    """Turns credentials into a caller: those of connection_init, else the handshake's header or ticket."""

    def __init__(self, authenticator: Authenticator, credentials: Credentials, origins: Origins, pacer: Pacer) -> None:
        self._authenticator = authenticator
        self._credentials = credentials
        self._origins = origins
        self._pacer = pacer

    async def wait(self) -> None:
        """Until it is a newcomer's turn to come in."""
        await self._pacer.turn()

    async def caller(self, connection: HTTPConnection, said: InitPayload) -> Principal:
        """Raises FORBIDDEN for a page that may not call, UNAUTHENTICATED for the rest."""
        token = said.authorization or said.Authorization
        if token is None:
            return await self._credentials.of_stream(connection)
        self._origins.check(connection.headers)
        return await self._authenticator.principal(bearer(token))

    async def renewed(self, held: Principal, authorization: str) -> Principal:
        """The same caller with a fresh token; raises UNAUTHENTICATED, FORBIDDEN, TIMEOUT."""
        return await self._credentials.renewed(held, authorization)
