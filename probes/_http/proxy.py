"""Proxies without I/O: where one is, and the words that make it open a way to a target.

SOCKS version 5 with user and password is RFC 1928 and RFC 1929; CONNECT is RFC 9110, 9.3.6. A `Dialogue` is fed what
the proxy sends and says what to send next. What the proxy says of the target has the target's reason; whatever else
keeps the way closed is `Reason.PROXY`, which is held against nobody.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, urlsplit

from probes._http.head import split
from probes._http.http1 import INTERIM, ResponseReader
from probes._http.url import ascii_host
from probes.contract import TEXT_LIMIT, LookFailed, Reason, Secret

_PORTS = {"http": 0, "socks5": 1080, "socks5h": 1080}
"""Those that are meant where none is written. Of HTTP proxies there are too many habits: 80, 1080, 3128, 8080."""
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_SOCKS = 5
_NO_METHOD = 0xFF
_WITH_PASSWORD = 2
_LONGEST_WORD = 255

_SOCKS_SAYS = {
    1: (Reason.PROXY, "a general failure"),
    2: (Reason.PROXY, "its rules do not allow it"),
    3: (Reason.UNREACHABLE, "the network cannot be reached"),
    4: (Reason.UNREACHABLE, "the host cannot be reached"),
    5: (Reason.REFUSED, "the connection was refused"),
    6: (Reason.UNREACHABLE, "no packet gets there (TTL expired)"),
    7: (Reason.PROXY, "it does not know the command"),
    8: (Reason.PROXY, "it does not know this kind of address"),
}
"""RFC 1928, 6."""

_PROXY_STATUS = {
    "destination_ip_unroutable": Reason.UNREACHABLE,
    "connection_refused": Reason.REFUSED,
}
"""What of RFC 9209, 2.3 says something of the target: time limits are the proxy's own, and so is its resolver."""

_ERROR = re.compile(r";\s*error\s*=\s*\"?([a-z_]{1,60})", re.IGNORECASE)
_SQUID_ERROR = re.compile(r"ERR_[A-Z_]{1,40}(?: \d{1,4})?")
_SQUID = {"ERR_CONNECT_FAIL 111": Reason.REFUSED, "ERR_CONNECT_FAIL 113": Reason.UNREACHABLE}
"""What Squid says in X-Squid-Error: the errno of its connect(2), as Linux counts them."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """`proxy` is the way to the target, its redirects and its `token_url`:

    - `http://user:password@proxy.example.com:3128`: an HTTP proxy; to https it opens a tunnel (CONNECT).
    - `socks5h://user:password@proxy.example.com:1080`: a SOCKS proxy, which resolves the target's name.
    - `socks5://...`: the same, but the agent resolves the name, and the proxy is told the first address.

    What keeps a proxy from opening a way is no evidence against the target (`proxy`, cannot tell): it is gone, wants
    another password, forbids it, takes too long. But what it says of the target counts: of a SOCKS proxy that the
    connection was refused or the host cannot be reached, of an HTTP proxy the same in `Proxy-Status` (RFC 9209) or
    Squid's `X-Squid-Error`. Of an `http://` URL, another answer that an HTTP proxy gives in the target's place (502,
    504) cannot be told from the target's own, but for 407. `connect_time` is that to the proxy, `proxy_time` what it
    took the proxy to open the way. TLS to the proxy itself is not spoken, and no proxy is taken from the environment
    (`HTTPS_PROXY`). In a password, signs that mean something in URLs are written `%2F` (`/`), `%40` (`@`) ...
    """

    scheme: str
    host: str
    port: int
    user: str | None
    password: Secret | None

    @property
    def is_http(self) -> bool:
        return self.scheme == "http"

    @property
    def remote(self) -> bool:
        """Whether it is told names, not addresses."""
        return self.scheme != "socks5"

    @property
    def shown(self) -> str:
        """For people: without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authorization(self) -> Secret | None:
        """The value of the Proxy-Authorization header."""
        if self.user is None or self.password is None:
            return None
        pair = f"{self.user}:{self.password.reveal()}".encode()
        return Secret("Basic " + base64.b64encode(pair).decode())

    @property
    def secrets(self) -> list[str]:
        """What must not come back in evidence."""
        basic = self.authorization
        if basic is None or self.password is None:
            return []
        return [basic.reveal(), basic.reveal().removeprefix("Basic "), self.password.reveal()]


def parse(text: str) -> Proxy:
    """Raises ValueError saying what to write, without showing the text: it may hold a password."""
    if _CONTROL.search(text):
        raise ValueError("the proxy's URL has a space or control character")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("the proxy's URL cannot be read: write http://host:3128 or socks5://host:1080") from None
    if parts.scheme not in _PORTS:
        raise ValueError("the proxy's URL begins with none of http://, socks5:// and socks5h://")
    if port == 0:
        raise ValueError("the proxy's port is not a number from 1 to 65535")
    port = port or _PORTS[parts.scheme]
    if not port:
        raise ValueError("the proxy's URL has no port: write it, as in http://proxy.example.com:3128")
    host = ascii_host(parts.hostname or "")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the proxy's URL ends with its port: leave out what follows")
    user = password = None
    if parts.username is not None:
        user, password = unquote(parts.username), Secret(unquote(parts.password or ""))
        if parts.scheme != "http":
            _check_words(user, password.reveal())
    return Proxy(parts.scheme, host, port, user, password)


def _check_words(user: str, password: str) -> None:
    if not all(0 < len(word.encode()) <= _LONGEST_WORD for word in (user, password)):
        raise ValueError("user and password of a SOCKS proxy are 1 to 255 bytes long")


class Dialogue(Protocol):
    """What is said to a proxy before it opens the way. `rest` is what came behind its last word."""

    rest: bytes

    def begin(self) -> bytes:
        """What to send first."""

    def feed(self, data: bytes) -> bytes | None:
        """What to send next, if anything; None when the way is open. Raises `LookFailed` when it stays closed."""


def dialogue(proxy: Proxy, host: str, port: int) -> Dialogue:
    """With which words `proxy` opens a way to `host`, a name or an address."""
    return Connect(proxy, host, port) if proxy.is_http else Socks(proxy, host, port)


class Connect:
    """An HTTP proxy that is asked for a tunnel."""

    __slots__ = ("_authority", "_interim", "_proxy", "_said", "rest")

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self._proxy = proxy
        self._authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._said = b""
        self._interim = 0
        self.rest = b""

    def begin(self) -> bytes:
        lines = [f"CONNECT {self._authority} HTTP/1.1", f"Host: {self._authority}", "User-Agent: brownout/0.1"]
        basic = self._proxy.authorization
        if basic is not None:
            lines.append(f"Proxy-Authorization: {basic.reveal()}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def feed(self, data: bytes) -> bytes | None:
        self._said += data
        while True:
            try:
                found = split(self._said, 0)
            except LookFailed as failure:
                start = self._said[:TEXT_LIMIT].decode("latin-1")
                raise NotSpoken(Reason.PROXY, f"it does not speak HTTP: {failure.detail}", start) from failure
            if found is None:
                return b""
            head, end = found
            self._said = self._said[end:]
            if head.status >= 200 or head.status == 101:
                break
            self._interim += 1
            if self._interim > INTERIM:
                raise LookFailed(Reason.PROXY, f"more than {INTERIM} interim answers (1xx)")
        if head.status >= 300 or head.status == 101:
            raise refusal(head.status, head.by_name.get("proxy-status"), head.by_name.get("x-squid-error"))
        self.rest = self._said  # a tunnel's answer has no body, whatever its headers say (RFC 9110, 9.3.6)
        return None


class NotSpoken(LookFailed):
    """What answers is no proxy of this kind; `start` is how its answer begins."""

    def __init__(self, reason: Reason, detail: str, start: str) -> None:
        super().__init__(reason, detail)
        self.start = start


def refusal(status: int, proxy_status: str | None = None, squid: str | None = None) -> LookFailed:
    """What it means that an HTTP proxy opens no way: its status, and what it says in Proxy-Status, X-Squid-Error."""
    if status in (401, 407):  # Tinyproxy says 401 of a wrong password
        return LookFailed(Reason.PROXY, f"it wants a user and a password, or others ({status})")
    reason, word = _said_of_the_target(proxy_status, squid)
    told = f"{word} ({status})" if word else f"status {status}"
    return LookFailed(reason, f"it opened no way to the target: {told}")


def check_in_place(proxy: Proxy, answer: ResponseReader) -> None:
    """Of a request that a proxy has read: raises `LookFailed` if the answer is one in the target's place, and says
    so beyond doubt."""
    if answer.status == 407:
        raise LookFailed(Reason.PROXY, f"{proxy.shown}: {refusal(407).detail}")
    if answer.status >= 500:
        said = answer.header("proxy-status"), answer.header("x-squid-error")
        if _said_of_the_target(*said)[0] is not Reason.PROXY:
            failure = refusal(answer.status, *said)
            raise LookFailed(failure.reason, f"{proxy.shown}: {failure.detail}")


def _said_of_the_target(proxy_status: str | None, squid: str | None) -> tuple[Reason, str]:
    error = _ERROR.search(proxy_status) if proxy_status else None
    if error is not None:
        word = error[1].lower()
        return _PROXY_STATUS.get(word, Reason.PROXY), word
    known = _SQUID_ERROR.match(squid) if squid else None
    if known is not None:
        return _SQUID.get(known[0], Reason.PROXY), known[0]
    return Reason.PROXY, ""


class Socks:
    """A SOCKS proxy of version 5."""

    __slots__ = ("_host", "_port", "_proxy", "_said", "_step", "rest")

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self._proxy = proxy
        self._host, self._port = host, port
        self._said = b""
        # Not bound to this, or only the garbage collector would free it.
        self._step: Callable[[Socks], bytes | None] = Socks._method
        self.rest = b""

    def begin(self) -> bytes:
        methods = b"\0\x02" if self._proxy.user is not None else b"\0"
        return bytes((_SOCKS, len(methods))) + methods

    def feed(self, data: bytes) -> bytes | None:
        self._said += data
        return self._step(self)

    def _method(self) -> bytes | None:
        if len(self._said) < 2:
            self._check_version(_SOCKS)
            return b""
        self._check_version(_SOCKS)
        method = self._taken(2)[1]
        if method == 0:
            self._step = Socks._reply
            return self._request()
        if method == _WITH_PASSWORD and self._proxy.user is not None and self._proxy.password is not None:
            self._step = Socks._login
            user, word = self._proxy.user.encode(), self._proxy.password.reveal().encode()
            return bytes((1, len(user))) + user + bytes((len(word),)) + word
        if method in (_NO_METHOD, _WITH_PASSWORD):
            lacks = "a user and a password" if self._proxy.user is None else "another way to log in"
            raise LookFailed(Reason.PROXY, f"it wants {lacks}")
        raise LookFailed(Reason.PROXY, f"it chose a way to log in that was not offered ({method})")

    def _login(self) -> bytes | None:
        if len(self._said) < 2:
            return b""
        if self._taken(2)[1] != 0:
            raise LookFailed(Reason.PROXY, "it refuses the user or the password")
        self._step = Socks._reply
        return self._request()

    def _request(self) -> bytes:
        return bytes((_SOCKS, 1, 0)) + _address(self._host) + struct.pack("!H", self._port)

    def _reply(self) -> bytes | None:
        said = self._said
        self._check_version(_SOCKS)
        if len(said) >= 2 and said[1] != 0:
            reason, words = _SOCKS_SAYS.get(said[1], (Reason.PROXY, f"failure {said[1]}"))
            raise LookFailed(reason, f"it opened no way to the target: {words}")
        if len(said) < 5:
            return b""
        lengths = {1: 4, 3: 1 + said[4], 4: 16}
        if said[3] not in lengths:
            raise self._nonsense()
        length = 4 + lengths[said[3]] + 2
        if len(said) < length:
            return b""
        self.rest = said[length:]
        return None

    def _check_version(self, version: int) -> None:
        if self._said and self._said[0] != version:
            raise self._nonsense()

    def _nonsense(self) -> NotSpoken:
        start = self._said[:TEXT_LIMIT].decode("latin-1")
        return NotSpoken(Reason.PROXY, "it does not speak SOCKS version 5", start)

    def _taken(self, count: int) -> bytes:
        """The whole word, which has nothing behind it: a proxy waits for each of ours."""
        if len(self._said) > count:
            raise self._nonsense()  # it answers before it is asked
        taken, self._said = self._said, b""
        return taken


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        if len(name) > _LONGEST_WORD:
            raise LookFailed(Reason.PROXY, "the name is too long for SOCKS") from None
        return bytes((3, len(name))) + name
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed
