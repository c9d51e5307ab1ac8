"""What operators see: metrics, logs, traces."""

from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing

__all__ = ["Metrics", "Tracing"]
