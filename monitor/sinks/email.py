"""E-mail, by SMTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.headerregistry import Address
from email.utils import getaddresses
from functools import partial
from ipaddress import ip_address
from typing import Annotated, ClassVar, Final

from monitor.core.wording import cut
from monitor.sinks import _letter, _smtp, _told
from monitor.sinks._checks import LONGEST, check_timeout
from monitor.sinks._message import compose
from monitor.sinks._told import Class, Told
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, FilePath, Secret, check_fields

_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}", re.ASCII
)
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Email(Sink):
    """Sends every event as an e-mail, over TLS, threaded by incident.

    ```yaml
    sinks:
      mail:
        type: email
        host: smtp.example.com
        user: brownout@example.com
        password: "${SMTP_PASSWORD}"
        from: Brownout <brownout@example.com>
        to: [ops@example.com, boss@example.com]
    ```

    A mail has a text and an HTML part with the same content: what happened, since when, the evidence, and links. It
    loads nothing from anywhere. All mails of an incident refer to one another (`References`), so a mail program shows
    them as one conversation; Gmail does so only for mails of one subject: for Gmail say `one_subject: true`. For
    filters there are the headers `X-Brownout-State` (`outage`, `degraded`, `recovered`, `unknown`, `mark`),
    `X-Brownout-Event` and `X-Brownout-Key`. An outage is marked as important.

    **What you need from your provider.** The name of its server for *submission* (SMTP), a user, and a password made
    for programs, as most refuse the one you log in with: with Google Workspace it is an *app password* (Google
    Account, *Security*, *2-Step Verification*, *App passwords*; host `smtp.gmail.com`), with Amazon SES *SMTP
    credentials* (*SMTP settings*, *Create SMTP credentials*; host `email-smtp.REGION.amazonaws.com`), with Postmark
    and Mailgun the server's token or the domain's SMTP credentials. The sender's domain should allow the server by
    SPF and DKIM: an alert in the spam folder wakes nobody. A mail server of your own needs no user: let it relay for
    the agent's address.

    The server's certificate is always verified, and the connection is never left unencrypted where you have not said
    so. A mail that the server has taken may still be lost behind it: do not let e-mail be the only way to be paged.

    A temporary refusal (4xx: greylisting, a full disk) is tried again, for those recipients only that were refused; a
    permanent one (5xx) makes a dead letter, and the others get their mail. A mail whose acceptance is not certain is
    sent again with the same `Message-ID`, by which most servers know it for the same.
    """

    kind: ClassVar[str] = "email"
    nature: ClassVar[Nature] = Nature.HUMAN

    host: Annotated[str, "the mail server"]
    from_: Annotated[str, "the sender: `Brownout <brownout@example.com>`"]
    to: Annotated[tuple[str, ...], "who gets it, at least one; all of them see one another's addresses"]
    security: Annotated[
        _smtp.Security,
        "`starttls` begins TLS before anything is said, `tls` is TLS from the first byte, `none` is for a server on "
        "this machine or a network of your own",
    ] = "starttls"
    port: Annotated[int | None, "default: 587 for `starttls`, 465 for `tls`, 25 for `none`"] = None
    user: Annotated[str | None, "to log in with; left out: without"] = None
    password: Annotated[Secret | None, "what proves that it is `user`"] = None
    ca: Annotated[FilePath | None, "a file of CA certificates (PEM) to trust instead of the system's"] = None
    hello: Annotated[str | None, "what the agent calls itself (EHLO); default: the domain of `from`"] = None
    one_subject: Annotated[bool, "all mails of an incident have the subject of the first, as Gmail needs it"] = False
    timeout: Annotated[timedelta, "how long one attempt may take, at most 20s"] = LONGEST

    def __post_init__(self) -> None:
        check_fields(
            partial(_check_host, self.host, "host"),
            partial(_check_host, self.hello or "localhost", "hello"),
            partial(_check_address, self.from_, "from_"),
            *(partial(_check_address, address, "to") for address in self.to),
            self._check_way,
            partial(check_timeout, self.timeout),
        )

    def _check_way(self) -> None:
        if not self.to:
            raise BadField("to", "needs at least one address")
        if self.port is not None and not 0 < self.port < 65536:
            raise BadField("port", "must be from 1 to 65535")
        if (self.user is None) != (self.password is None):
            raise BadField("password" if self.password is None else "user", "user and password go together")
        if self.security == "none" and self.password is not None and not _is_here(self.host):
            raise BadField("security", "the password would cross the network in the clear: write starttls or tls")

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        told, memory = _told.read(delivery), context.memory
        done = memory.get("done", []) if memory.get("event") == delivery.event_id else []
        waiting = [person for person in map(_parsed, self.to) if person.addr_spec not in done]
        if not waiting:
            return
        name, raw = self._mail(told, delivery, context)
        seconds = self.timeout.total_seconds()
        sender, to = _parsed(self.from_), [person.addr_spec for person in waiting]
        refused = await _smtp.hand_over(self._server(sender), sender.addr_spec, to, raw, seconds=seconds)
        taken = [address for address in to if address not in refused]
        if taken:
            memory.update(event=delivery.event_id, done=[*done, *taken], last=name)
            memory.setdefault("first", name)
        if refused:
            raise _undelivered(refused, len(self.to))
        if told.cls is Class.RECOVERED or told.test or told.type == "digest":
            memory.clear()  # nothing follows it

    def _server(self, sender: Address) -> _smtp.Server:
        return _smtp.Server(
            host=self.host,
            port=self.port,
            security=self.security,
            hello=self.hello or sender.domain,
            user=self.user,
            password=self.password,
            ca=self.ca,
        )

    def _mail(self, told: Told, delivery: Delivery, context: SinkContext) -> tuple[str, bytes]:
        """Its Message-ID, and all of it."""
        sender, memory, message = _parsed(self.from_), context.memory, compose(told, context.now)
        name = _letter.name_of(delivery.event_id, sender.domain)
        subject = message.headline
        if self.one_subject:
            subject = str(memory.setdefault("subject", subject))
        known = [str(memory[key]) for key in ("first", "last") if key in memory and memory[key] != name]
        incident = told.part("incident").get("id")
        envelope = _letter.Envelope(
            sender=sender,
            to=[_parsed(address) for address in self.to],
            subject=f"Re: {subject}" if self.one_subject and known else subject,
            id=name,
            thread=_letter.name_of(told.key, sender.domain) if incident else None,
            before=tuple(dict.fromkeys(known)),
            at=context.now,
        )
        return name, _letter.letter(message, told, envelope)


def _undelivered(refused: Mapping[str, _smtp.Refused], of: int) -> SendFailed:
    told = "; ".join(f"{address}: {refusal.said}" for address, refusal in list(refused.items())[:3])
    permanent = all(refusal.permanent for refusal in refused.values())
    return SendFailed(f"the server refuses {len(refused)} of {of} recipients: {told}", permanent=permanent)


def _parsed(text: str) -> Address:
    """``Ann Example <ann@example.com>``, or the address alone. Raises `ValueError`."""
    found = getaddresses([text])
    if len(found) != 1 or not _ADDRESS.fullmatch(found[0][1]) or not text.isprintable():
        raise ValueError("no address")
    [(name, address)] = found
    return Address(display_name=name, addr_spec=address)


def _check_address(text: str, field: str) -> None:
    try:
        _parsed(text)
    except (ValueError, IndexError):
        raise BadField(
            field, f'"{cut(text, 60)}" is no address: write ann@example.com or Ann <ann@example.com>'
        ) from None


def _check_host(text: str, field: str) -> None:
    if not _HOST.fullmatch(text):
        raise BadField(field, "must be the name of a host, such as smtp.example.com, without a port")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
