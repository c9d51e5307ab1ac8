"""What resolvers work with: the use cases, and what is known of one operation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from strawberry.dataloader import DataLoader

from processors.admission.admission import Admission
from processors.aggregates.aggregates import Aggregates
from processors.aggregates.following import Following
from processors.live.live import Live
from processors.live.subscription import LiveSubscription
from processors.pages import EventPage
from processors.projections.service import Projections
from processors.query import EffectsOf, EventQueries, Placed
from processors.readable import ReadableStreams
from processors.replays.replays import Replays
from processors.schemas.schemas import Schemas
from processors.stream_admin import StreamAdmin
from processors.token_admin import TokenAdmin
from schema.cursor import Cursor, CursorCodec
from schema.input import ClientContext
from schema.principal import Principal


@dataclass(frozen=True)
class Services:
    """The use cases, as wired for this process."""

    admission: Admission
    streams: StreamAdmin
    tokens: TokenAdmin
    readable: ReadableStreams
    events: EventQueries
    live: Live
    codec: CursorCodec
    aggregates: Aggregates
    following: Following
    projections: Projections
    replays: Replays
    schemas: Schemas


class Loaders:
    """Batches what the events of one result ask for one by one. Lives for one execution only, or it would go stale."""

    def __init__(self, queries: EventQueries, principal: Principal) -> None:
        self._queries = queries
        self._principal = principal
        self.events: DataLoader[str, Placed | None] = DataLoader(load_fn=self._events)
        self.effects: DataLoader[EffectsOf, EventPage] = DataLoader(load_fn=self._effects)

    async def _events(self, event_ids: list[str]) -> Sequence[Placed | None]:
        found = await self._queries.placed(self._principal, event_ids)
        return [found.get(event_id) for event_id in event_ids]

    async def _effects(self, keys: list[EffectsOf]) -> Sequence[EventPage]:
        pages = await self._queries.effects_of_each(self._principal, keys)
        return [pages[key] for key in keys]


class Context:
    """One operation: who asks, from where, with what. `resume`: the cursor a subscription was asked to go on from.

    `live`: what a subscription of the log follows, once it does. `place`: where another one begins, if it has a place
    in the log at all; each item it yields has a `place`, too, or goes without a cursor.
    """

    def __init__(
        self,
        principal: Principal,
        services: Services,
        client: ClientContext,
        request_id: str | None,
        resume: str | None = None,
    ) -> None:
        self.principal = principal
        self.services = services
        self.client = client
        self.request_id = request_id
        self.resume = resume
        self.sign = partial(services.codec.encode, principal.tenant)
        self.live: LiveSubscription | None = None
        self.place: Cursor | None = None
        self._loaders: Loaders | None = None

    @property
    def loaders(self) -> Loaders:
        """The loaders of this execution, made when first asked for."""
        if self._loaders is None:
            self._loaders = Loaders(self.services.events, self.principal)
        return self._loaders

    def reauthorise(self, principal: Principal) -> None:
        """The caller has a new token: what a subscription asks from now on is asked with it."""
        self.principal = principal
        self._loaders = None
        if self.live is not None:
            self.live.reauthorise(principal)

    def forget_loaded(self) -> None:
        """Begin another execution: what was loaded for a subscription's last item may have changed since."""
        self._loaders = None
