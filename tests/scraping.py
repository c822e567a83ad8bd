"""A telemetry that is scraped, and its samples read back."""

from __future__ import annotations

from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.telemetry import Telemetry
from tests.web.made import StillClock

Samples = dict[str, list[tuple[dict[str, str], float]]]


def watching(world: Any, **fields: Any) -> Telemetry:
    return Telemetry(world, clock=StillClock(), version="0.1.0", vantage="fra1", **fields)


async def scrape(telemetry: Telemetry, *, openmetrics: bool = False) -> str:
    return b"".join([piece async for piece in telemetry.metrics(openmetrics=openmetrics)]).decode()


def read(text: str, *, openmetrics: bool = False) -> Samples:
    """Samples by name; a family that is told twice, or in pieces, is a fault."""
    families = list(parse_openmetrics(text) if openmetrics else parse_text(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family is told in pieces"
    samples: Samples = {}
    for family in families:
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return samples


def value(samples: Samples, name: str, /, **labels: str) -> float:
    found = [figure for given, figure in samples[name] if labels.items() <= given.items()]
    assert len(found) == 1, f"{name}{labels}: {found}"
    return found[0]
