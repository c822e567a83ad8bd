"""Looks at a gRPC server by its health service: does it say that it serves?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, ClassVar
from urllib.parse import unquote

from probes._clean import Cleaner, sent
from probes._look import Look, failed
from probes._wire.connection import Connection
from probes._wire.endpoint import host_and_port
from probes._wire.figures import CONNECT_TIME, RESOLVE_TIME, certificate_expires_in, tls_time
from probes._wire.reach import Endpoint, reach
from probes.contract import (
    BadField,
    Context,
    FilePath,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    Secret,
    TlsWanted,
    Unit,
    check_fields,
)
from probes.registry import optional

if TYPE_CHECKING:
    from h2.connection import H2Connection

_METADATA = re.compile(r"[0-9a-z_.-]+")
_BODY_LIMIT = 4096
"""Bytes of an answer; the message itself has two."""
_FRAME_HEADER = 9
_SETTINGS = 4
"""The type of the frame that a server's side of HTTP/2 begins with (RFC 9113, 3.4)."""
_SERVING = 1
_STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
"""grpc.health.v1.HealthCheckResponse.ServingStatus, of grpc/health/v1/health.proto."""

# The numbers of google.rpc.Code. What is not here is the server's own failure (reason `status`).
_CODES = {
    4: (Reason.FIRST_BYTE_TIMEOUT, "DEADLINE_EXCEEDED"),
    5: (Reason.MISSING, "NOT_FOUND: the server does not know this service"),
    7: (Reason.DENIED, "PERMISSION_DENIED"),
    12: (Reason.UNSUPPORTED, "UNIMPLEMENTED: the server has no health service"),
    14: (Reason.NOT_READY, "UNAVAILABLE"),
    16: (Reason.DENIED, "UNAUTHENTICATED"),
}


@dataclass(frozen=True, slots=True, repr=False)
class Grpc(Probe):
    """Asks a gRPC server's health service (grpc.health.v1), as load balancers and Kubernetes do.

    An answer other than SERVING makes the look fail (`not_serving`). A server without the health service cannot tell
    (`unsupported`); for one that does not know the named service, what is looked at is not there (`missing`).

    ```yaml
    checks:
      - name: orders
        probe: grpc
        address: orders.example.com:443
        tls: true
        service_name: shop.v1.Orders
        metadata: {authorization: "Bearer ${ORDERS_TOKEN}"}
        degraded: p95(response_time, 5m) > 300ms, clear < 200ms
    ```

    Times: `response_time` is everything after name resolution, up to the end of the answer. A look that timed out
    reports at least its timeout; one that failed before an answer reports none.

    Default thresholds: `certificate_expires_in < 14d` is degraded, for the reasons that the probe `http` gives. None
    makes a check down: a server that does not serve fails by itself, and how slow is too slow is yours to say.

    Limits: one unary call of `Check` on a connection of its own, without compression; `Watch` is not used. HTTP/2
    without TLS is spoken with prior knowledge.
    """

    kind: ClassVar[str] = "grpc"
    extra: ClassVar[str | None] = "grpc"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "response_time",
            Unit.SECONDS,
            "From after name resolution to the end of the answer.",
            cut_by=Reason.FIRST_BYTE_TIMEOUT,
        ),
        RESOLVE_TIME,
        CONNECT_TIME,
        tls_time("tls"),
        Measurement(
            "call_time",
            Unit.SECONDS,
            "The call itself, HTTP/2's own greeting included.",
            cut_by=Reason.FIRST_BYTE_TIMEOUT,
        ),
        certificate_expires_in("tls"),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("certificate_expires_in < 14d",)}

    address: Annotated[str, "Where to connect: `host:port`, or `[IPv6 address]:port`."]
    service_name: Annotated[str, "The service to ask about; empty: the server as a whole."] = ""
    tls: Annotated[bool, "Whether to speak TLS."] = False
    metadata: Annotated[Mapping[str, Secret], "Metadata to send along; never shown."] = field(default_factory=dict)
    authority: Annotated[str | None, "The name to ask for, when it is not the address's host."] = None
    verify: Annotated[bool, "Whether the certificate must be trusted and for this name."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None
    _host: str = field(init=False, compare=False)
    _port: int = field(init=False, compare=False)
    _own: Cleaner | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        optional("h2", "grpc")
        check_fields(self._check_address, self._check_metadata, self._check_service)
        known = sent(value.reveal() for value in self.metadata.values())
        object.__setattr__(self, "_own", Cleaner(known) or None)

    def _check_address(self) -> None:
        host, port = host_and_port(self.address)
        object.__setattr__(self, "_host", host)
        object.__setattr__(self, "_port", port)

    def _check_metadata(self) -> None:
        for name, value in self.metadata.items():
            if not _METADATA.fullmatch(name) or name.startswith("grpc-") or name.endswith("-bin"):
                raise BadField(
                    f"metadata.{name}", "a name is of a-z, 0-9, _, . and -, and neither grpc-... nor ...-bin"
                )
            if not (value.reveal().isascii() and value.reveal().isprintable()):
                raise BadField(f"metadata.{name}", "the value must be printable ASCII")

    def _check_service(self) -> None:
        if len(self.service_name.encode()) > 1000:
            raise BadField("service_name", "the name is longer than 1000 bytes")

    def __repr__(self) -> str:
        return f"Grpc({self.target})"

    @property
    def target(self) -> str:
        return f"{self.service_name} at {self.address}" if self.service_name else self.address

    @property
    def host(self) -> str | None:
        return self._host

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._own, context.redact)
        figures: dict[str, float] = {}
        try:
            with await reach(look, context, self._endpoint(), figures) as connection:
                state = await self._call(look, connection)
            look.check_clocks()
            look.evidence["health"] = _STATES.get(state, str(state))
            if state != _SERVING:
                raise LookFailed(Reason.NOT_SERVING, f"the server says {_STATES.get(state, state)}")
            figures["response_time"] = sum(look.phases.values()) - look.phases["resolve"]
        except LookFailed as failure:
            return failed(look, failure, {**figures, **_times(look)})
        finally:
            look.close()
        return Observation({**figures, **_times(look)}, None, "", look.phases, look.evidence)

    def _endpoint(self) -> Endpoint:
        name = (self.authority or self._host) if self.tls else None
        return Endpoint(self._host, self._port, name, TlsWanted(self.verify, self.ca_file, alpn="h2"))

    async def _call(self, look: Look, connection: Connection) -> int:
        began = perf_counter()
        call = _Call()
        try:
            await connection.send(call.ask(self._request_headers(), health_request(self.service_name)))
            while not call.ended:
                look.begin(Reason.FIRST_BYTE_TIMEOUT)
                data = await connection.receive()
                if not data:
                    raise call.cut_off()
                answer = call.take(data)
                if answer:
                    await connection.send(answer)
        finally:
            look.phases.pop("send", None)  # a part of this phase
            look.spend("call", perf_counter() - began)
        return call.state(look)

    def _request_headers(self) -> list[tuple[str, str]]:
        return [
            (":method", "POST"),
            (":scheme", "https" if self.tls else "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", self.authority or self.address),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "brownout/0.1"),
            *((name, value.reveal()) for name, value in self.metadata.items()),
        ]


def _times(look: Look) -> dict[str, float]:
    return {f"{phase}_time": took for phase, took in look.phases.items() if phase != "send"}


class _Call:
    """One call, sans I/O: bytes in, bytes out. Raises `LookFailed` (protocol, too_large, reset)."""

    def __init__(self) -> None:
        from h2.config import H2Configuration  # an extra: loaded by whoever uses it
        from h2.connection import H2Connection

        self._h2: H2Connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._start = b""
        self.ended = False

    def ask(self, headers: list[tuple[str, str]], message: bytes) -> bytes:
        self._h2.initiate_connection()
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, headers)
        self._h2.send_data(stream, message, end_stream=True)
        return self._h2.data_to_send()

    def take(self, data: bytes) -> bytes:
        """Bytes of the server in, bytes for it out."""
        from h2.exceptions import ProtocolError

        self._start = (self._start + data[:_FRAME_HEADER])[:_FRAME_HEADER]
        if len(self._start) == _FRAME_HEADER and self._start[3] != _SETTINGS:
            raise LookFailed(Reason.PROTOCOL, "not HTTP/2: it does not begin with its settings")
        try:
            for event in self._h2.receive_data(data):
                self._see(event)
        except (ProtocolError, UnicodeDecodeError) as error:
            raise LookFailed(Reason.PROTOCOL, f"not HTTP/2: {type(error).__name__}") from error
        return self._h2.data_to_send()

    def cut_off(self) -> LookFailed:
        """What it means that the connection ended now."""
        if self._start:
            return LookFailed(Reason.TRUNCATED, "the connection was closed in the middle of the answer")
        return LookFailed(Reason.EMPTY_REPLY, "the connection was closed without an answer")

    def _see(self, event: object) -> None:
        from h2 import events

        if isinstance(event, events.ResponseReceived | events.TrailersReceived):
            self._headers.update({str(name): str(value) for name, value in event.headers or ()})
        elif isinstance(event, events.DataReceived):
            self._body += event.data or b""
            if len(self._body) > _BODY_LIMIT:
                raise LookFailed(Reason.TOO_LARGE, f"the answer is larger than {_BODY_LIMIT} bytes")
        elif isinstance(event, events.StreamReset):
            raise LookFailed(Reason.RESET, f"the server reset the call (code {event.error_code})")
        elif isinstance(event, events.ConnectionTerminated):
            raise LookFailed(Reason.NOT_READY, f"the server is leaving (GOAWAY, code {event.error_code})")
        elif isinstance(event, events.StreamEnded):
            self.ended = True

    def state(self, look: Look) -> int:
        """The ServingStatus in a complete answer."""
        status = self._headers.get(":status", "")
        if status != "200":
            raise LookFailed(Reason.BLOCKED if status == "429" else Reason.STATUS, f"status {look.show(status, 20)}")
        code = self._headers.get("grpc-status", "")
        if code != "0":
            raise _refusal(code, look.show(unquote(self._headers.get("grpc-message", "")), 120))
        return _serving_status(bytes(self._body))


def _refusal(code: str, said: str) -> LookFailed:
    if not (code.isascii() and code.isdecimal() and len(code) <= 3):
        return LookFailed(Reason.PROTOCOL, "the answer has no grpc-status: is it a gRPC server?")
    reason, name = _CODES.get(int(code), (Reason.STATUS, ""))
    return LookFailed(reason, f"grpc-status {code}{' ' if name else ''}{name}{': ' if said else ''}{said}")


# --- the two messages: too small for a generated module and its runtime ------------------------------------------


def health_request(service: str) -> bytes:
    """HealthCheckRequest{string service = 1} in gRPC's frame: a flag, the length in four bytes, the message."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def _serving_status(body: bytes) -> int:
    """HealthCheckResponse{ServingStatus status = 1}; an absent field is 0. Raises `LookFailed`."""
    if len(body) < 5 or body[0] != 0 or int.from_bytes(body[1:5], "big") != len(body) - 5:
        raise LookFailed(Reason.PROTOCOL, "the answer is no gRPC message")
    status = 0
    numbers = _varints(body[5:])
    for key in numbers:
        if key != 0x08:
            raise LookFailed(Reason.PROTOCOL, "the answer is no HealthCheckResponse")
        status = next(numbers, 0)
    return status


def _varints(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0
