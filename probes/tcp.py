"""Looks at a TCP port: does something accept connections?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Annotated, ClassVar

from probes._endpoint import host_and_port
from probes._look import Look, taken
from probes._net import dial
from probes.contract import Context, Measurement, Observation, Probe, Reason, Unit


@dataclass(frozen=True, slots=True)
class Tcp(Probe):
    """Connects to a port and closes the connection: something listens and its kernel accepts.

    It says less than a probe that speaks the protocol: a process that hangs still accepts connections for a while.

    ```yaml
    checks:
      - name: smtp
        probe: tcp
        address: mail.example.com:25
        degraded: p95(connect_time, 5m) > 300ms, clear < 200ms
    ```

    A look that timed out reports a `response_time` of at least its timeout.

    Default thresholds: none, as a connection either succeeds or fails, and what is slow depends on the distance. A
    `response_time` well above what it has been at this hour of the week is degraded (`usual: off` leaves that out).

    Limits: it sends and reads nothing; some servers log each look as a client that went away.
    """

    kind: ClassVar[str] = "tcp"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "response_time",
            Unit.SECONDS,
            "From after name resolution to the connection; `connect_time`.",
            cut_by=Reason.CONNECT_TIMEOUT,
        ),
        Measurement(
            "connect_time",
            Unit.SECONDS,
            "TCP connection, over all addresses that were tried.",
            cut_by=Reason.CONNECT_TIMEOUT,
        ),
        Measurement("resolve_time", Unit.SECONDS, "Name resolution."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    usual: ClassVar[str | None] = "response_time"

    address: Annotated[str, "Where to connect: `host:port`, or `[IPv6 address]:port`."]
    _host: str = field(init=False, repr=False, compare=False)
    _port: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        host, port = host_and_port(self.address)
        object.__setattr__(self, "_host", host)
        object.__setattr__(self, "_port", port)

    @property
    def target(self) -> str:
        return self.address

    @property
    def host(self) -> str | None:
        return self._host

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout)
        figures: dict[str, float] = {}
        return await taken(look, self._dial(look, context, figures), figures)

    async def _dial(self, look: Look, context: Context, figures: dict[str, float]) -> None:
        look.begin(Reason.DNS_TIMEOUT)
        addresses = await context.resolver.resolve(self._host, self._port, look.left())
        figures["resolve_time"] = perf_counter() - look.started
        look.spend("resolve", figures["resolve_time"])
        try:
            (await dial(look, addresses)).close()
        finally:
            if "connect" in look.phases:
                figures["connect_time"] = figures["response_time"] = look.phases["connect"]
