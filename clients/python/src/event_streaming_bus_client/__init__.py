"""A client of the Event Streaming Bus: ask, publish, follow, and decide on what nobody else changed meanwhile."""

from event_streaming_bus_client.client import Client, Report
from event_streaming_bus_client.commands import Aggregate, Outcome, on_aggregate, on_events
from event_streaming_bus_client.errors import GatewayError
from event_streaming_bus_client.identifiers import event_id

__all__ = ["Aggregate", "Client", "GatewayError", "Outcome", "Report", "event_id", "on_aggregate", "on_events"]
