"""A small shop under watch, in one of its worse minutes: values for the tests of telemetry and web."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from monitor.core.condition import Bound, Condition, Level, Operator
from monitor.core.model import Check, Impact, Look, Moment, OutageRule, Service
from monitor.core.world import World
from monitor.telemetry import Telemetry
from probes.contract import Context, Measurement, Observation, Probe, Reason, Unit
from tests.core.builders import check, moment, world

PASSWORD = "hunter2-hunter2"


@dataclass(frozen=True, slots=True)
class Page(Probe):
    """A web page that nobody fetches."""

    url: str = "https://shop.example.com/"

    kind: ClassVar[str] = "http"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("response_time", Unit.SECONDS, "until the last byte"),
        Measurement("body_size", Unit.BYTES, "bytes of the body"),
        Measurement("certificate_expires_in", Unit.SECONDS, "until the certificate ends"),
    )

    @property
    def target(self) -> str:
        return self.url

    async def look(self, context: Context) -> Observation:
        raise AssertionError("nobody looks")


class StillClock:
    """A clock that the test sets."""

    def __init__(self, at: float = 0.0) -> None:
        self.at = at

    def now(self) -> Moment:
        return moment(self.at)


SLOW = Condition(
    "response_time > 800ms, clear < 600ms",
    Level.DEGRADED,
    "response_time",
    Unit.SECONDS,
    Bound(Operator.ABOVE, 0.8),
    clear=Bound(Operator.BELOW, 0.6),
)
ENDS = Condition(
    "certificate_expires_in < 14d",
    Level.DEGRADED,
    "certificate_expires_in",
    Unit.SECONDS,
    Bound(Operator.BELOW, 14 * 86400.0),
)


def page(name: str, service: str = "shop", **fields: Any) -> Check:
    conditions = fields.pop("conditions", (SLOW, ENDS))
    probe = Page(fields.pop("url", f"https://shop.example.com/{name}"))
    return check(name, *conditions, service=service, probe=probe, every=timedelta(seconds=15), **fields)


def shop(*more: Check) -> World:
    """home, checkout, search and images; checkout counts for an outage, images do not."""
    checks = (
        page("home", labels={"tier": "web"}, owner="web", runbook="https://wiki.example.com/shop"),
        page("checkout"),
        page("search", "search"),
        page("images", impact=Impact.DEGRADATION),
        *more,
    )
    members = tuple(item.id for item in checks if item.service == "shop")
    services = {
        "shop": Service("shop", "Web shop", members, OutageRule(1, ("home", "checkout")), owner="web"),
        "search": Service("search", "Search", ("search",), OutageRule(1, ("search",))),
    }
    return world(*checks, services=services)


def observation(took: float = 0.23, *, reason: Reason | None = None, detail: str = "", **more: float) -> Observation:
    measurements = {"response_time": took, "body_size": 48231.0, "certificate_expires_in": 61 * 86400.0} | more
    phases = {"dns": 0.004, "connect": 0.018, "tls": 0.041, "first_byte": took - 0.08, "transfer": 0.017}
    return Observation(measurements, reason, detail, phases, {"address": "192.0.2.1"})


def see(watched: World, name: str, at: float, seen: Observation, telemetry: Telemetry | None = None) -> None:
    """Hand in one look, as the pipeline does."""
    taken = Look(name, seen, moment(at), moment(at + 0.25))
    watched.observe(taken)
    if telemetry is not None:
        telemetry.look(taken, watched.judges[name])


def troubled() -> World:
    """The shop with a slow home page and a checkout that refuses; search is fine, images were never looked at."""
    watched = shop()
    for turn in range(6):
        see(watched, "home", turn * 15.0, observation(2.4 if turn > 2 else 0.31))
        see(watched, "search", turn * 15.0, observation(0.12))
    see(watched, "checkout", 0.0, observation())
    for turn in range(5):
        see(watched, "checkout", 15.0 + turn, observation(0.02, reason=Reason.REFUSED, detail="connection refused"))
    return watched


def at(seconds: float) -> datetime:
    return moment(seconds).at
