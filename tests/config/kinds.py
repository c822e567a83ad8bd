"""Stand-in probes and sinks for the tests of the config layer.

slack and pagerduty come with later issues, and the real http probe changes for reasons of its own: what is pinned
here is how typed fields are read, whatever kind they belong to. `database` has fields of all the types that no other
kind here has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from monitor.config.load import Kinds
from monitor.sinks.contract import Nature, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, ByteSize, Context, Measurement, Observation, Probe, Secret, Unit
from probes.error_rate import ErrorRate
from probes.postgres import Postgres
from probes.queue import Queue

_LIMIT = ByteSize(2_000_000)


@dataclass(frozen=True, slots=True)
class StandIn(Probe):
    @property
    def target(self) -> str:
        return self.kind

    async def look(self, context: Context) -> Observation:
        return Observation()


@dataclass(frozen=True, slots=True)
class Expect:
    status: Annotated[tuple[int, ...], "Which statuses are fine."] = ()
    body: str | None = None
    json: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for status in self.status:
            if not 100 <= status <= 599:
                raise BadField("status", f"{status} is no HTTP status: write one from 100 to 599")


@dataclass(frozen=True, slots=True)
class Http(StandIn):
    """Asks a web server.

    The rest of the manual.
    """

    kind: ClassVar[str] = "http"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("response_time", Unit.SECONDS, "From the first packet to the last."),
        Measurement("certificate_expires_in", Unit.SECONDS, "Until the certificate ends."),
        Measurement("body_size", Unit.BYTES, "Of the answer."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("certificate_expires_in < 14d",)}
    usual: ClassVar[str | None] = "response_time"

    url: Annotated[str, "What to ask for."]
    method: Literal["GET", "HEAD", "POST", "PUT"] = "GET"
    headers: Mapping[str, Secret] = field(default_factory=dict)
    body: str | None = None
    expect: Expect = field(default_factory=Expect)
    follow: int = 5
    max_bytes: ByteSize = _LIMIT
    verify: bool = True
    ca_file: str | None = None

    @property
    def target(self) -> str:
        return self.url

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise BadField("url", f'"{self.url}" must begin with http:// or https://')


class Pool(StrEnum):
    SESSION = "session"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True)
class Database(StandIn):
    kind: ClassVar[str] = "database"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("connections_used", Unit.RATIO, "Of max_connections."),
        Measurement("longest_transaction", Unit.SECONDS, "The oldest one open."),
        Measurement("replication_lag", Unit.SECONDS, "Of the slowest standby."),
    )
    dsn: Secret
    patience: timedelta = timedelta(seconds=3)
    pool: Pool = Pool.SESSION
    standbys: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class SinkStandIn(Sink):
    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        """Nowhere."""


@dataclass(frozen=True, slots=True)
class Webhook(SinkStandIn):
    kind: ClassVar[str] = "webhook"
    nature: ClassVar[Nature] = Nature.LOG
    url: str
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Slack(SinkStandIn):
    kind: ClassVar[str] = "slack"
    nature: ClassVar[Nature] = Nature.HUMAN
    url: Secret


@dataclass(frozen=True, slots=True)
class PagerDuty(SinkStandIn):
    kind: ClassVar[str] = "pagerduty"
    nature: ClassVar[Nature] = Nature.LEVEL
    routing_key: Secret


KINDS = Kinds(
    probes={probe.kind: probe for probe in (Http, ErrorRate, Database, Postgres, Queue)},
    sinks={sink.kind: sink for sink in (Webhook, Slack, PagerDuty)},
)
