"""What the agent tells about itself and its checks: an observer that counts, and renders `/metrics`."""

from monitor.telemetry.exposition import OPENMETRICS, TEXT, wants_openmetrics
from monitor.telemetry.observer import Telemetry

__all__ = ["OPENMETRICS", "TEXT", "Telemetry", "wants_openmetrics"]
