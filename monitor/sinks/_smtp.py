"""Handing a mail over by SMTP: what each answer of the server means, and whether it may have taken the mail."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from monitor.core.wording import cut
from monitor.sinks._message import harmless
from monitor.sinks._trust import trusted
from monitor.sinks.contract import SendFailed
from probes.contract import Secret

if TYPE_CHECKING:
    import aiosmtplib  # only what sends loads it

Security = Literal["starttls", "tls", "none"]
_PORTS: Final[Mapping[Security, int]] = {"starttls": 587, "tls": 465, "none": 25}
_GOODBYE: Final = 1.0
"""Seconds for QUIT: the mail is taken by then."""
_SAID_LIMIT: Final = 120


@dataclass(frozen=True, slots=True)
class Server:
    """Where, and how. `hello` is what we call ourselves, `ca` a file of certificates instead of the system's."""

    host: str
    port: int | None
    security: Security
    hello: str
    user: str | None
    password: Secret | None
    ca: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A recipient that the server does not take, and what it said."""

    said: str
    permanent: bool


async def hand_over(
    server: Server, sender: str, to: Sequence[str], raw: bytes, *, seconds: float
) -> Mapping[str, Refused]:
    """Send a mail to all of them, within `seconds`; who was refused, by address. Raises `SendFailed` where it came to
    nothing: permanent after an answer of 5xx, uncertain where the server had the mail and has not said what it made
    of it."""
    return await _Dialogue(server, seconds).hold(sender, to, raw)


class _Dialogue:
    def __init__(self, server: Server, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self._refused: dict[str, Refused] = {}
        self._handing_over = False
        self._taken = False

    async def hold(self, sender: str, to: Sequence[str], raw: bytes) -> Mapping[str, Refused]:
        import aiosmtplib

        try:
            async with asyncio.timeout(self._seconds), self._connected() as client:
                await client.mail(sender)
                for address in to:
                    await self._name(client, address)
                if len(self._refused) < len(to):
                    self._handing_over = True
                    await client.data(raw)
                    self._taken = True
        except aiosmtplib.SMTPResponseException as error:
            raise self._refusal(error) from None
        except TimeoutError:  # aiosmtplib's, too
            if not self._taken and len(self._refused) < len(to):
                text = f"no answer within {self._seconds:g} s"
                raise SendFailed(text, uncertain=self._handing_over) from None
        except OSError as error:  # TLS's, and aiosmtplib's, too
            raise self._unreachable(error) from None
        except aiosmtplib.SMTPException:
            raise SendFailed("the server does not keep to SMTP", uncertain=self._handing_over) from None
        return self._refused

    async def _name(self, client: aiosmtplib.SMTP, address: str) -> None:
        import aiosmtplib

        try:
            await client.rcpt(address)
        except aiosmtplib.SMTPRecipientRefused as error:
            self._refused[address] = Refused(self._said(error), error.code >= 500)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiosmtplib.SMTP]:
        import aiosmtplib

        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port or _PORTS[server.security],
            use_tls=server.security == "tls",
            start_tls=False,
            tls_context=await _tls(server.ca) if server.security != "none" else None,
            timeout=self._seconds,
            local_hostname=server.hello,
        )
        try:
            await client.connect()
            await self._encrypt(client)
            await self._log_in(client)
            yield client
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=_GOODBYE)
        finally:
            client.close()

    async def _encrypt(self, client: aiosmtplib.SMTP) -> None:
        """Or end here: whoever takes STARTTLS out of the server's answer must not get to read what follows."""
        if self._server.security != "starttls":
            return
        await client.ehlo()
        if not client.supports_extension("starttls"):
            raise SendFailed("the server offers no STARTTLS: is it the right port? 465 needs security: tls")
        await client.starttls()

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        import aiosmtplib

        user, password = self._server.user, self._server.password
        if user is None or password is None:
            return
        try:
            await client.login(user, password.reveal())
        except aiosmtplib.SMTPResponseException as error:
            if error.code < 0:  # aiosmtplib's own
                raise
            # Never its words here: a server may repeat what it was sent.
            text = f"the server refuses user or password ({error.code})"
            raise SendFailed(text, permanent=error.code >= 500) from None
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError):
            raise
        except aiosmtplib.SMTPException:
            raise SendFailed("the server offers no way to log in that is known here", permanent=True) from None

    def _refusal(self, error: aiosmtplib.SMTPResponseException) -> SendFailed:
        if error.code < 0:  # aiosmtplib's own
            return SendFailed("what answers there does not speak SMTP", uncertain=self._handing_over)
        return SendFailed(f"the server refuses it: {self._said(error)}", permanent=error.code >= 500)

    def _said(self, error: aiosmtplib.SMTPResponseException) -> str:
        """Its code alone where its words repeat what we have logged in with."""
        user, password = self._server.user, self._server.password
        if user is not None and password is not None:
            plain = password.reveal()
            sent = (plain, _coded(plain), _coded(f"\0{user}\0{plain}"))
            if any(item in error.message for item in sent):
                return str(error.code)
        return cut(harmless(f"{error.code} {error.message}"), _SAID_LIMIT)

    def _unreachable(self, error: OSError) -> SendFailed:
        from monitor.sinks._http import cause

        if self._handing_over:
            return SendFailed("the connection was lost while the mail was handed over", uncertain=True)
        why = cause(error)
        if why == "WRONG_VERSION_NUMBER":
            why = "what answers there does not begin with TLS: 587 needs security: starttls"
        return SendFailed(f"cannot reach it: {why}" if why != type(error).__name__ else "it hung up")


def _coded(text: str) -> str:
    """As it is sent to log in (RFC 4954)."""
    return base64.b64encode(text.encode()).decode()


async def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        return await trusted(ca)
    except ssl.SSLError:
        raise SendFailed("the file that ca names holds no certificates (PEM)") from None
    except OSError as error:
        raise SendFailed(f"the file that ca names cannot be read: {error.strerror}") from None
