"""Everything that no other sink speaks, through Apprise: text messages, calls, Teams, Discord, Telegram, ntfy, ...

Apprise is blocking, and what it has begun nobody can end: each send gets a thread of ours, a few at a time for each
sink, and a fresh object, as one that is used again sleeps between sends. Retries, order and limits are the outbox's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Annotated, ClassVar, Final

from monitor.sinks import _told
from monitor.sinks._checks import LONGEST, check_timeout
from monitor.sinks._message import Message, compose, plain
from monitor.sinks._told import Class
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

if find_spec("apprise") is None:  # loading it takes 0.3 s and 36 MiB: only whoever uses it does
    raise ModuleNotFoundError("no apprise", name="apprise")

MOST_UNDER_WAY: Final = 4
"""Sends of one sink; as many as a lane has streams."""
_READ_SECONDS: Final = 10.0
"""Instead of Apprise's 4: who is slow to answer has taken it all the same, and would get it twice."""
_KINDS: Final = {Class.OUTAGE: "failure", Class.DEGRADED: "warning", Class.RECOVERED: "success"}
_STATUS: Final = re.compile(r"\berror=([1-5]\d\d)\b")
"""In Apprise's log: nothing else tells why a send has failed."""
_SCHEME: Final = re.compile(r"([a-z][a-z0-9]{1,19})://", re.ASCII)


@dataclass(frozen=True, slots=True)
class Apprise(Sink):
    """Writes to any of the services that Apprise speaks: text messages, calls, Teams, Discord, Telegram, ntfy, ...

    ```yaml
    sinks:
      phone: {type: apprise, url: "ntfys://${NTFY_TOKEN}@ntfy.example.com/alerts"}
      room: {type: apprise, url: "discord://1234567890123/${DISCORD_TOKEN}"}
      sms: {type: apprise, url: "clicksend://ops:${CLICKSEND_KEY}@15550123456", short: true}
    ```

    Where there is a sink of Brownout's own for a service, take that: it knows which alert is which, and closes it.
    This one writes a message for each event, and is told only whether it was taken.

    **What to click.** Each service has its own address; apprise's wiki (github.com/caronc/apprise/wiki) has a page
    for each, with what to click there. Put the address, or the secret in it, into a variable. Name one recipient an
    address: of several, Apprise tells only whether all have got it, and waits seconds between them.

    Over-long text is cut to what the service takes. With `short: true` a message is one sentence and a link, for
    text messages. What a target says mentions nobody. An answer of 4xx makes a dead letter at once, where Apprise
    tells the status; anything else is tried again. No redirect is followed. Apprise does not tell how long a service
    asks to wait. It sends by proxies of the environment (`HTTPS_PROXY`), which no other sink does. It is one project
    more between an outage and a person: do not let it be the only way to be paged.
    """

    kind: ClassVar[str] = "apprise"
    nature: ClassVar[Nature] = Nature.HUMAN
    extra: ClassVar[str | None] = "apprise"

    url: Annotated[Secret, "the address in Apprise's own form: `twilio://...`, `discord://...`"]
    short: Annotated[bool, "the sentence and a link, nothing else: for text messages"] = False
    timeout: Annotated[timedelta, "how long one attempt may take, at most 20s"] = LONGEST

    def __post_init__(self) -> None:
        check_fields(lambda: _check_url(self.url), lambda: check_timeout(self.timeout))

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        message = compose(_told.read(delivery), context.now)
        seconds = self.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                status = await _threads.run(self.url, lambda: _notify(self.url, message, short=self.short))
        except TimeoutError:
            raise SendFailed(f"no answer within {seconds:g} s", uncertain=True) from None
        if status == _ACCEPTED:
            return
        if status in _OTHERWISE:
            raise SendFailed(_OTHERWISE[status], uncertain=True)
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        raise SendFailed(f"answered {status}", permanent=400 <= status < 500 and status not in _http.RETRIED)


_ACCEPTED: Final = 0
_UNTOLD: Final = -1
_CUT_OFF: Final = -2
_OTHERWISE: Final = {
    _UNTOLD: "it was not taken; Apprise does not tell why",
    _CUT_OFF: "it cannot be reached, or has not answered in time",
}


def _notify(url: Secret, message: Message, *, short: bool) -> int:
    """Send once, in this thread. `_ACCEPTED`, the status that it was refused with, or one of `_OTHERWISE`."""
    apprise = _apprise()
    plugin = apprise.Apprise.instantiate(url.reveal(), asset=_asset())
    if plugin is None:
        return _UNTOLD
    if "rto=" not in url.reveal():
        plugin.socket_read_timeout = _READ_SECONDS
    title, text = texts(message, short=short)
    _refusals.begin()
    taken = plugin.notify(
        title=title,
        body=text,
        notify_type=_KINDS.get(message.cls, "info"),
        body_format=apprise.NotifyFormat.TEXT,
        overflow=apprise.OverflowMode.TRUNCATE,
    )
    return _ACCEPTED if taken else _refusals.status


def texts(message: Message, *, short: bool) -> tuple[str, str]:
    """The title, and the text. A short one has no title, and no symbol: with a single character outside of the SMS
    alphabet a text message holds 70 characters instead of 160."""
    if short:
        return "", "\n".join((_defused(message.sentence), *(url for _, _, url in message.links[:1])))
    text = _defused(plain(replace(message, links=())))
    links = [f"{label}: {url}" for _, label, url in message.links]
    return f"{message.symbol} {_defused(message.headline)}", "\n\n".join((text, *links))


def _defused(text: str) -> str:
    """Without mentions, and without links that hide where they lead, in any service's markup: an invisible character
    keeps them apart."""
    return text.replace("@", "@\u200b").replace("](", "]\u200b(")


class _Threads:
    """Sends under way, by sink. A thread for each, as nobody can end one: those that hang must hold up neither other
    sinks nor the agent's own end. What hangs in HTTP ends when its time is over: its connections are cut."""

    def __init__(self) -> None:
        self._busy: Counter[Secret] = Counter()
        self._lock = threading.Lock()

    async def run(self, sink: Secret, work: Callable[[], int]) -> int:
        """What `work` returns or raises. Raises `SendFailed` while too many are under way."""
        from monitor.sinks import _requests  # brings what only Apprise needs

        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        with self._lock:
            if self._busy[sink] >= MOST_UNDER_WAY:
                raise SendFailed(f"{MOST_UNDER_WAY} earlier sends have not ended yet")
            self._busy[sink] += 1

        lines = _requests.Lines()

        def serve() -> None:
            _requests.here.lines = lines
            try:
                found: int | BaseException = work()
            except BaseException as error:  # noqa: BLE001  (it is raised where it was asked for)
                found = error
            lines.close()
            with self._lock:
                self._busy[sink] -= 1
                self._busy += Counter()  # without those of sinks that are gone
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_settle, done, found)

        threading.Thread(target=serve, name="apprise", daemon=True).start()
        try:
            return await done
        finally:
            lines.cut()


def _settle(done: asyncio.Future[int], found: int | BaseException) -> None:
    if done.cancelled():
        return
    if isinstance(found, BaseException):
        done.set_exception(found)
    else:
        done.set_result(found)


class _Refusals(logging.Handler):
    """Hears what Apprise logs, and keeps the status that a send of the same thread was refused with. Nothing of it is
    logged: it may hold what a service has answered."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = threading.local()

    def begin(self) -> None:
        self._heard.status = _UNTOLD

    @property
    def status(self) -> int:
        return int(getattr(self._heard, "status", _UNTOLD))

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if found := _STATUS.search(text):
            self._heard.status = int(found[1])
        elif "onnection error" in text:
            self._heard.status = _CUT_OFF


_threads = _Threads()
_refusals = _Refusals()


@cache
def _apprise() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own modules, which are none of ours
        import apprise

        from monitor.sinks import _requests

        _requests.bound()
        apprise.Apprise.instantiate("json://localhost")  # loads all of its plug-ins
    logging.getLogger("apprise").addHandler(_refusals)
    for name in ("apprise", "urllib3"):  # they log addresses, which hold secrets, and what was answered
        logging.getLogger(name).propagate = False
    return apprise


def _asset() -> object:
    """Who is said to send. Without pictures, which would be loaded from elsewhere."""
    found: object = _apprise().AppriseAsset(
        app_id="Brownout", app_desc="Brownout", image_url_mask="", image_url_logo="", async_mode=False
    )
    return found


def _check_url(url: Secret) -> None:
    apprise = _apprise()
    if apprise.Apprise.instantiate(url.reveal(), asset=_asset()) is not None:
        return
    scheme = _SCHEME.match(url.reveal())
    if scheme is None:
        raise BadField("url", "must be an address in Apprise's form, such as discord://...: see its wiki")
    if scheme[1] not in apprise.NotificationManager():
        raise BadField("url", f"Apprise knows no {scheme[1]}://: see its wiki for the services that it knows")
    raise BadField("url", f"this is no complete {scheme[1]}:// address: see its page in Apprise's wiki")
