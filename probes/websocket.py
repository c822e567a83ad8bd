"""Looks at a WebSocket: does the upgrade succeed, and does the other side answer on it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from probes._clean import Cleaner, sent
from probes._http import url as _url
from probes._http.exchange import check_written
from probes._look import Look, failed
from probes._patterns import pattern
from probes._wire.connection import Connection
from probes._wire.figures import CONNECT_TIME, RESOLVE_TIME, certificate_expires_in, tls_time
from probes._wire.reach import Endpoint, reach
from probes.contract import (
    BadField,
    ByteSize,
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
    import wsproto.events as ws_events
    from wsproto import WSConnection

_SCHEMES = {"ws": "http", "wss": "https"}
_MAX_BYTES = ByteSize(256_000)
_PAYLOAD = b"brownout"
_OURS = frozenset({"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"})


@dataclass(frozen=True, slots=True, repr=False)
class Websocket(Probe):
    """Opens a WebSocket, and waits for an answer on it: a pong, or a message that you expect.

    The upgrade alone says little: many proxies answer it while the application behind hangs. So without `send` and
    `expect` the look sends a ping and waits for its pong; with `send` it sends that text first, and with `expect` it
    waits for a message in which that is found, be it the answer or a greeting.

    ```yaml
    checks:
      - name: live updates
        probe: websocket
        url: wss://shop.example.com/live
        headers: {Authorization: "Bearer ${LIVE_TOKEN}"}
        send: '{"type": "subscribe", "channel": "status"}'
        expect: '"type": ?"subscribed"'
        degraded: p95(response_time, 5m) > 800ms, clear < 600ms
    ```

    Times: `response_time` is everything after name resolution, up to the pong or the expected message. A look that
    timed out reports at least its timeout; one that failed before the answer reports none.

    Default thresholds: `certificate_expires_in < 14d` is degraded, for the reasons that the probe `http` gives. None
    makes a check down: a socket that cannot be opened fails by itself, and how slow is too slow is yours to say.

    Limits: RFC 6455 over HTTP/1.1, without compression and without redirects. Messages that are not the expected one
    are passed over, up to `max_bytes` in all. A status of 429 cannot tell, any other refusal of the upgrade is the
    reason `status`.
    """

    kind: ClassVar[str] = "websocket"
    extra: ClassVar[str | None] = "websocket"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "response_time",
            Unit.SECONDS,
            "From after name resolution to the pong or the expected message.",
            cut_by=Reason.FIRST_BYTE_TIMEOUT,
        ),
        RESOLVE_TIME,
        CONNECT_TIME,
        tls_time("wss"),
        Measurement(
            "upgrade_time",
            Unit.SECONDS,
            "From the request to upgrade to its answer.",
            cut_by=Reason.FIRST_BYTE_TIMEOUT,
        ),
        Measurement(
            "answer_time",
            Unit.SECONDS,
            "From the ping or the text sent to its answer.",
            cut_by=Reason.FIRST_BYTE_TIMEOUT,
        ),
        certificate_expires_in("wss"),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("certificate_expires_in < 14d",)}

    url: Annotated[str, "What to open: ws:// or wss://; a user and password in it become basic auth."]
    headers: Annotated[Mapping[str, Secret], "Headers to send along with the upgrade; never shown."] = field(
        default_factory=dict
    )
    subprotocols: Annotated[tuple[str, ...], "Subprotocols to offer."] = ()
    send: Annotated[str | None, "A text to send once it is open."] = None
    expect: Annotated[str | None, "A regular expression (RE2) to wait for in a message."] = None
    max_bytes: Annotated[ByteSize, "The most to read while waiting; more makes the look fail."] = _MAX_BYTES
    verify: Annotated[bool, "Whether the certificate must be trusted and for this name."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None
    _url: _url.Url = field(init=False, compare=False)
    _expected: Any = field(init=False, compare=False)
    _own: Cleaner | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        optional("wsproto", "websocket")
        check_fields(self._check_url, self._check_headers, self._check_expect, self._check_limit)
        known = sent(value.reveal() for value in self.headers.values()) + self._url.secrets
        object.__setattr__(self, "_own", Cleaner(known) or None)

    def _check_url(self) -> None:
        scheme, colon, rest = self.url.partition("://")
        if not colon or scheme not in _SCHEMES:
            raise BadField("url", "the URL begins with neither ws:// nor wss://")
        try:
            object.__setattr__(self, "_url", _url.parse(f"{_SCHEMES[scheme]}://{rest}"))
        except ValueError as error:
            raise BadField("url", str(error)) from None

    def _check_headers(self) -> None:
        for name, value in self.headers.items():
            if name.lower() in _OURS:
                raise BadField(f"headers.{name}", "this header is written by the probe itself")
            check_written(name, value.reveal())

    def _check_expect(self) -> None:
        object.__setattr__(self, "_expected", pattern("expect", self.expect))

    def _check_limit(self) -> None:
        if self.max_bytes < 1:
            raise BadField("max_bytes", "write at least 1B")

    def __repr__(self) -> str:
        return f"Websocket({self.target})"

    @property
    def target(self) -> str:
        return "ws" + self._url.shown.removeprefix("http")

    @property
    def host(self) -> str | None:
        return self._url.host

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._own, context.redact)
        figures: dict[str, float] = {}
        try:
            with await reach(look, context, self._endpoint(), figures) as connection:
                await self._talk(look, connection)
            look.check_clocks()
        except LookFailed as failure:
            self._measure(look, figures)
            return failed(look, failure, figures)
        finally:
            look.close()
        self._measure(look, figures)
        figures["response_time"] = sum(look.phases.values()) - look.phases["resolve"]
        return Observation(figures, None, "", look.phases, look.evidence)

    def _endpoint(self) -> Endpoint:
        name = self._url.host if self._url.scheme == "https" else None
        return Endpoint(self._url.host, self._url.port, name, TlsWanted(self.verify, self.ca_file))

    async def _talk(self, look: Look, connection: Connection) -> None:
        dialogue = _Dialogue(look, connection, self.max_bytes)
        began = perf_counter()
        try:
            await dialogue.open(self._url, self._written(), self.subprotocols)
        finally:
            look.spend("upgrade", perf_counter() - began)
        began = perf_counter()
        try:
            if self.send is not None:
                await dialogue.say(self.send)
            if self._expected is not None:
                await dialogue.message(self._expected)
            else:
                await dialogue.pong(_PAYLOAD)
        finally:
            look.spend("answer", perf_counter() - began)
        await dialogue.leave()

    def _written(self) -> list[tuple[bytes, bytes]]:
        written = [(name.encode(), value.reveal().encode("latin-1")) for name, value in self.headers.items()]
        if self._url.authorization is not None:
            written.append((b"Authorization", self._url.authorization.reveal().encode()))
        return written

    @staticmethod
    def _measure(look: Look, figures: dict[str, float]) -> None:
        look.phases.pop("send", None)  # a part of the other two
        for phase, took in look.phases.items():
            figures[f"{phase}_time"] = took


class _Dialogue:
    """The protocol, spoken on a connection; every wait ends at the look's deadline."""

    def __init__(self, look: Look, connection: Connection, max_bytes: int) -> None:
        from wsproto import ConnectionType, WSConnection  # an extra: loaded by whoever uses it

        self._look = look
        self._connection = connection
        self._left = max_bytes
        self._begun = False
        self._socket: WSConnection = WSConnection(ConnectionType.CLIENT)

    async def open(self, url: _url.Url, headers: list[tuple[bytes, bytes]], subprotocols: tuple[str, ...]) -> None:
        """The upgrade. Raises `LookFailed` when it is refused."""
        from wsproto.events import AcceptConnection, RejectConnection, Request

        request = Request(
            host=url.authority, target=url.target, extra_headers=headers, subprotocols=list(subprotocols)
        )
        await self._connection.send(self._socket.send(request))
        event = await self._next((AcceptConnection, RejectConnection))
        if isinstance(event, RejectConnection):
            self._look.evidence["status"] = str(event.status_code)
            reason = Reason.BLOCKED if event.status_code == 429 else Reason.STATUS
            raise LookFailed(reason, f"status {event.status_code} instead of 101")

    async def say(self, text: str) -> None:
        from wsproto.events import TextMessage

        await self._connection.send(self._socket.send(TextMessage(text)))

    async def pong(self, payload: bytes) -> None:
        from wsproto.events import Ping, Pong

        await self._connection.send(self._socket.send(Ping(payload)))
        while True:
            event = await self._next((Pong,))
            if bytes(event.payload) == payload:
                return

    async def message(self, expected: Any) -> None:
        """Wait for a message in which `expected` is found; its parts may come one by one."""
        from wsproto.events import BytesMessage, TextMessage

        parts: list[bytes] = []
        while True:
            event = await self._next((TextMessage, BytesMessage))
            parts.append(event.data.encode() if isinstance(event, TextMessage) else bytes(event.data))
            if not event.message_finished:
                continue
            whole = b"".join(parts)
            if expected.search(whole):
                return
            self._look.evidence["message"] = self._look.show(whole[:1000].decode("utf-8", "replace"), 200, cut=True)
            parts.clear()

    async def leave(self) -> None:
        """Say goodbye, and wait for nothing."""
        from wsproto.events import CloseConnection

        await self._connection.send(self._socket.send(CloseConnection(1000)))

    async def _next(self, wanted: tuple[type[Any], ...]) -> Any:
        """The next event of these kinds. Pings are answered; a close, an end or nonsense raises `LookFailed`."""
        from wsproto.utilities import RemoteProtocolError

        while True:
            try:
                for event in self._socket.events():
                    if isinstance(event, wanted):
                        return event
                    await self._other(event)
                self._look.begin(Reason.FIRST_BYTE_TIMEOUT)
                data = await self._connection.receive()
                self._left -= len(data)
                if self._left < 0:
                    raise LookFailed(Reason.TOO_LARGE, "more than max_bytes came before what is expected")
                if not data:
                    raise self._cut_off()
                self._begun = True
                self._socket.receive_data(data)
            except RemoteProtocolError as error:
                raise LookFailed(Reason.PROTOCOL, self._look.show(str(error), 120)) from error

    def _cut_off(self) -> LookFailed:
        if self._begun:
            return LookFailed(Reason.TRUNCATED, "the connection was closed before what is expected")
        return LookFailed(Reason.EMPTY_REPLY, "the connection was closed without an answer")

    async def _other(self, event: ws_events.Event) -> None:
        from wsproto.events import CloseConnection, Ping

        if isinstance(event, Ping):
            await self._connection.send(self._socket.send(event.response()))
        elif isinstance(event, CloseConnection):
            said = self._look.show(event.reason or "", 100)
            restarting = event.code in (1001, 1012, 1013)  # going away, service restart, try again later
            reason = Reason.NOT_READY if restarting else Reason.EMPTY_REPLY
            raise LookFailed(reason, f"closed with code {event.code}{': ' if said else ''}{said}")
