"""`POST /api/v1/tickets`: a single-use ticket for where a browser cannot set a header."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth.tickets import Tickets
from gateway.problems import BODY_JSON
from gateway.rest.guard import Guard
from schema.principal import Principal


class TicketApi:
    """The endpoint that makes tickets."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    def routes(self, guard: Guard) -> list[Route]:
        """The route, guarded."""
        return [Route("/tickets", guard(self.create_ticket), methods=["POST"])]

    async def create_ticket(self, principal: Principal, _request: Request) -> Response:
        """201 with the ticket; it stands for the caller's token, once, within half a minute."""
        ticket = await self._tickets.issue(principal)
        return Response(msgspec.json.encode(ticket), 201, {"cache-control": "no-store"}, BODY_JSON)
