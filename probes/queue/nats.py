"""NATS JetStream: one durable consumer of a stream."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from probes._look import Look
from probes._tls.contexts import handshake_failure
from probes._wire.dial import dial
from probes._wire.errnos import translated
from probes._wire.reach import resolved
from probes.contract import BadField, Context, LookFailed, Reason, TlsWanted
from probes.queue.backend import Backend, Backlog
from probes.registry import optional

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_PORTS = 4222
_MOST_SUBJECTS = 8
"""Filter subjects of one consumer that are asked for their next message."""
_GOODBYE = 0.03
"""Seconds that closing may take when the look has none left: it ends in time, whatever the server does."""

_NAME = re.compile(r"[^\s.*>/\\]{1,255}")
_FRACTION = re.compile(r"\.(\d{1,6})\d*")
_ERRORS = {
    10014: (Reason.MISSING, "the consumer is not there"),
    10059: (Reason.MISSING, "the stream is not there"),
    10039: (Reason.UNSUPPORTED, "JetStream is not enabled for this account"),
    10076: (Reason.UNSUPPORTED, "JetStream is not enabled on this server"),
    10008: (Reason.NOT_READY, "JetStream has no leader at present"),
}
"""What the JetStream API complains of, by its err_code."""
_NO_MESSAGE = 10037


class Nats(Backend):
    """NATS JetStream 2.9 and later: the durable consumer `consumer` of the stream `stream`, pull or push. `url` is
    `nats://user:password@host:4222`, `nats://token@host`, or `tls://` for a server that wants TLS. The user needs to
    publish to `$JS.API.CONSUMER.INFO.STREAM.CONSUMER` and `$JS.API.STREAM.MSG.GET.STREAM`, and to its inbox.

    | Figure | From |
    | --- | --- |
    | `depth` | `num_pending`: messages that match the consumer's filter and were never delivered |
    | `lag` | age of the first of those in the stream; it is fetched for its time and thrown away |
    | `in_flight` | `num_ack_pending`: delivered and not acknowledged |
    | `workers` | pull: `num_waiting`, requests that wait for messages; push: 1 while somebody is subscribed |
    | `drain_rate` | deliveries that are no longer pending: acknowledged, or given up |
    | `paused`, `held` | a consumer that is paused (2.11) |

    A pull consumer whose workers are all busy has no waiting requests: then it counts as 1 worker as long as
    something was delivered within its `ack_wait`. Messages that come again (`redelivered` in the evidence) are in
    flight. A message that was delivered `max_deliver` times is given up silently: `failed` is unknown.

    Limits: the server's clock is used from 2.10 on, the agent's before. With more than 8 filter subjects the lag is
    that of the first 8. No NKEY or JWT credentials. A domain or a prefix for the API cannot be given.
    """

    name = "nats"
    needs = frozenset({"url", "stream", "consumer"})
    takes = frozenset({"verify", "ca_file"})
    extra = "nats"

    def __init__(self, queue: Queue) -> None:
        self._nats = optional("nats", "nats")
        self._verify, self._ca_file, self._now = queue.verify, queue.ca_file, queue.now
        self._stream, self._consumer = queue.stream or "", queue.consumer or ""
        for field, name in (("stream", self._stream), ("consumer", self._consumer)):
            if not _NAME.fullmatch(name):
                raise BadField(field, f"{name!r} cannot be a name here: no dots, spaces, slashes or wildcards")
        self._parse(queue.url.reveal() if queue.url is not None else "")

    def _parse(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS
        except ValueError:
            raise BadField("url", "it cannot be read: nats://user:password@host:4222") from None
        if parts.scheme not in ("nats", "tls") or not parts.hostname:
            raise BadField("url", "write nats://user:password@host:4222, or tls:// for a server that wants TLS")
        self._host, self._port, self._tls = parts.hostname, port, parts.scheme == "tls"
        self._login: dict[str, str] = {}
        if parts.username and parts.password is None:
            self._login = {"token": unquote(parts.username)}
        elif parts.username:
            self._login = {"user": unquote(parts.username), "password": unquote(parts.password or "")}

    @property
    def target(self) -> str:
        return f"{self._host}:{self._port} {self._stream}/{self._consumer}"

    @property
    def host(self) -> str | None:
        return self._host

    @property
    def secrets(self) -> Iterable[str]:
        return self._login.values()

    async def read(self, look: Look, context: Context) -> Backlog:
        async with self._session(look, context) as session:
            info = await session.ask(f"CONSUMER.INFO.{self._stream}.{self._consumer}")
            pending = _count(info, "num_pending")
            now = _instant(info.get("ts")) or self._now()
            oldest = await self._oldest(session, info) if pending else None
        return self._told(info, pending, now, oldest)

    def _told(self, info: dict[str, Any], pending: int, now: float, oldest: dict[str, Any] | None) -> Backlog:
        since = _instant(oldest.get("time")) if oldest is not None else None
        lag = max(0.0, now - since) if since is not None else (None if pending else 0.0)
        unacknowledged = _count(info, "num_ack_pending")
        delivered = _part(info, "delivered")
        evidence = {}
        if again := _count(info, "num_redelivered"):
            evidence["redelivered"] = str(again)
        if oldest is not None:
            evidence["oldest"] = f"sequence {_count(oldest, 'seq')}, {lag or 0:.0f} s"
        paused = info.get("paused") is True
        return Backlog(
            depth=0 if paused else pending,
            lag=0.0 if paused else lag,
            in_flight=unacknowledged,
            workers=_workers(info, delivered, now),
            completed=float(max(0, _count(delivered, "consumer_seq") - unacknowledged)),
            paused=(self._consumer,) if paused else (),
            held=pending if paused else 0,
            evidence=evidence,
        )

    async def _oldest(self, session: _Session, info: dict[str, Any]) -> dict[str, Any] | None:
        """The first message in the stream that the consumer has yet to get; None when it has just been taken."""
        config = _part(info, "config")
        subjects = config.get("filter_subjects") or [config.get("filter_subject") or ">"]
        after = _count(_part(info, "delivered"), "stream_seq") + 1
        found = []
        for subject in subjects[:_MOST_SUBJECTS] if isinstance(subjects, list) else [">"]:
            answer = await session.ask(
                f"STREAM.MSG.GET.{self._stream}", {"seq": after, "next_by_subj": str(subject)}, maybe=True
            )
            if isinstance(message := answer.get("message"), dict):
                found.append(message)
        return min(found, key=lambda message: _count(message, "seq"), default=None)

    @asynccontextmanager
    async def _session(self, look: Look, context: Context) -> AsyncIterator[_Session]:
        # The driver would try a port that is closed again and again: so a connection of our own finds out.
        with await dial(look, await resolved(look, context, self._host, self._port)) as tried:
            where = tried.where
        client = self._nats.aio.client.Client()
        session = _Session(look, client)
        tls = await context.tls.get(TlsWanted(self._verify, self._ca_file)) if self._tls else None
        try:
            async with look.phase("login", Reason.FIRST_BYTE_TIMEOUT):
                await self._connect(look, client, session, where, tls)
            yield session
        finally:
            with suppress(Exception):
                async with asyncio.timeout(max(_GOODBYE, min(look.left(), 0.5))):
                    await client.close()

    async def _connect(
        self, look: Look, client: Any, session: _Session, where: str, tls: ssl.SSLContext | None
    ) -> None:
        secured = {"tls": tls, "tls_hostname": self._host} if tls is not None else {}
        try:
            await client.connect(
                servers=f"nats://{where}",
                error_cb=session.complain,
                name="brownout",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                connect_timeout=max(1, round(look.timeout)),
                dont_randomize=True,
                **secured,
                **self._login,
            )
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a lying server makes the driver raise whatever it likes
            raise _refused(look, error, session.complaint) from error


class _Session:
    """A connection that is logged in, asked one thing at a time."""

    def __init__(self, look: Look, client: Any) -> None:
        self._look = look
        self._client = client
        self.complaint: Exception | None = None
        self._complained = asyncio.Event()

    async def complain(self, error: Exception) -> None:
        """What the server says without being asked: it ends the wait for an answer that will not come."""
        self.complaint = error
        self._complained.set()

    async def ask(self, subject: str, body: object = None, *, maybe: bool = False) -> dict[str, Any]:
        """The answer of the JetStream API. Raises `LookFailed`; with `maybe` no message is an empty answer."""
        data = b"" if body is None else json.dumps(body).encode()
        async with self._look.phase("query", Reason.QUERY_TIMEOUT):
            answer = asyncio.ensure_future(
                self._client.request(f"$JS.API.{subject}", data, timeout=self._look.timeout)
            )
            complained = asyncio.ensure_future(self._complained.wait())
            try:
                await asyncio.wait({answer, complained}, return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    raise _refused(self._look, self.complaint or ConnectionError(), None)
                told = json.loads(answer.result().data)
            except (LookFailed, asyncio.CancelledError):
                raise
            except Exception as error:  # as in connecting
                raise _refused(self._look, error, self.complaint) from error
            finally:
                for task in (answer, complained):
                    task.cancel()
                await asyncio.gather(answer, complained, return_exceptions=True)
        self._look.check_late(perf_counter())
        if not isinstance(told, dict):
            raise LookFailed(Reason.PROTOCOL, "the answer of the JetStream API is no object")
        complaint = _part(told, "error")
        if complaint and not (maybe and complaint.get("err_code") == _NO_MESSAGE):
            raise self._failed(complaint)
        return told

    def _failed(self, complaint: dict[str, Any]) -> LookFailed:
        said = self._look.show(str(complaint.get("description", "")), 120)
        reason, text = _ERRORS.get(_count(complaint, "err_code"), (Reason.NOT_SERVING, "JetStream does not answer"))
        return LookFailed(reason, f"{text} ({said})")


def _refused(look: Look, error: Exception, complaint: Exception | None) -> LookFailed:
    """What the driver raised, in the words of `Reason`."""
    where = look.evidence.get("address", "the server")
    cause = complaint if complaint is not None else error
    text = str(cause)
    if isinstance(cause, ssl.SSLError):
        return handshake_failure(cause)
    if "uthorization" in text or "ermissions violation" in text or "uthentication" in text:
        return LookFailed(Reason.DENIED, f"{where}: {look.show(text, 200)}")
    if type(error).__name__ == "NoRespondersError":
        return LookFailed(Reason.UNSUPPORTED, f"{where}: nobody answers there: JetStream is not enabled")
    if isinstance(cause, OSError) and cause.errno is not None:
        return translated(cause.errno, where, Reason.REFUSED)
    closed = isinstance(cause, OSError | EOFError) or type(cause).__name__ in (
        "ConnectionClosedError",
        "TimeoutError",
    )
    if "empty response" in text:  # which the driver says of any first line that is not the greeting
        return LookFailed(Reason.PROTOCOL, f"{where}: no greeting of NATS, but another one or none at all")
    if closed or "unexpected EOF" in text:
        return LookFailed(Reason.EMPTY_REPLY, f"{where}: the server closed the connection")
    return LookFailed(Reason.PROTOCOL, f"{where}: what answers is not NATS: {look.show(text, 150)}")


def _workers(info: dict[str, Any], delivered: dict[str, Any], now: float) -> int:
    config = _part(info, "config")
    if config.get("deliver_subject"):
        return int(info.get("push_bound") is True)
    waiting = _count(info, "num_waiting")
    if waiting or not _count(info, "num_ack_pending"):
        return waiting
    last, patience = _instant(delivered.get("last_active")), _count(config, "ack_wait") / 1e9
    return int(last is not None and now - last <= patience)


def _part(told: dict[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _count(told: dict[str, Any], name: str) -> int:
    value = told.get(name)
    return min(value, 2**63) if isinstance(value, int) and value > 0 else 0  # beyond, the probe refuses it


def _instant(text: object) -> float | None:
    """Seconds of an RFC 3339 time with nanoseconds."""
    try:
        return datetime.fromisoformat(_FRACTION.sub(r".\1", str(text))).timestamp()
    except ValueError:
        return None
