"""Shared TLS contexts: one for all who want the same, made anew when its files have changed."""

from __future__ import annotations

import os
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import Any

from probes._system.hang import Asker, Hung
from probes._tls.handshake import Peer, handshake_failure
from probes.contract import BadField, LookFailed, Reason, TlsWanted

__all__ = ["VERSIONS", "SharedTls", "check_files", "handshake_failure"]

VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
"""What can be written as a lowest version."""

_KEPT = 256
"""Contexts; each holds the authorities it trusts."""
_FRESH = 2.0
"""Seconds for which files are believed to be as they were."""
_PATIENCE = 2.0
"""Seconds that files may take to be read."""

Marks = tuple[tuple[int, int, int] | None, ...]
"""Of each file: (inode, time of its last change in ns, size); None where it is not there."""


@dataclass(slots=True)
class _Made:
    context: ssl.SSLContext
    marks: Marks
    seen: float
    """When the files were last looked at, by the monotonic clock."""


class SharedTls:
    """Client contexts by what is wanted: reading the CA store costs more than a hundred looks.

    The system's store is read when this is made, before the loop turns: on a busy machine it takes 100 ms, and
    would void every look under way. All others are made in a thread. A certificate that was renewed is used from the
    next look on: files are looked at again after two seconds, and what they say replaces what was made of them.
    """

    __slots__ = ("_asker", "_made", "_plain")

    def __init__(self) -> None:
        self._plain: OrderedDict[TlsWanted, ssl.SSLContext] = OrderedDict()
        self._made: OrderedDict[TlsWanted, _Made] = OrderedDict()
        self._asker: Asker[TlsWanted, ssl.SSLContext] = Asker(self._current, "tls")
        self._plain[TlsWanted()] = _build(TlsWanted())

    async def get(self, wanted: TlsWanted) -> ssl.SSLContext:
        """Raises `LookFailed` (denied) when a file cannot be read."""
        context = self._plain.get(wanted)
        if context is not None:
            return context
        made = self._made.get(wanted)
        if made is not None and monotonic() - made.seen < _FRESH:
            return made.context
        try:
            return await self._asker.ask(wanted, _PATIENCE)
        except Hung:
            where = " or ".join(_files(wanted)) or "the system's certificates"
            raise LookFailed(Reason.DENIED, f"{where} cannot be read: the file system does not answer") from None

    def _current(self, wanted: TlsWanted) -> ssl.SSLContext:
        """In a thread, one at a time for what is wanted."""
        marks = tuple(map(_mark, _files(wanted)))
        made = self._made.get(wanted)
        if made is None or made.marks != marks or None in marks:
            made = _Made(_build(wanted), marks, 0.0)
        if not marks:
            self._plain[wanted] = made.context
            _shorten(self._plain)
            return made.context
        made.seen = monotonic()
        self._made.pop(wanted, None)  # to the end: those go first that were not wanted for longest
        self._made[wanted] = made
        _shorten(self._made)
        return made.context


def _shorten(kept: OrderedDict[TlsWanted, Any]) -> None:
    while len(kept) > _KEPT:
        kept.popitem(last=False)


def _files(wanted: TlsWanted) -> tuple[str, ...]:
    return tuple(name for name in (wanted.ca_file, wanted.certificate, wanted.key) if name is not None)


def _mark(name: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(name)  # noqa: PTH116  (followed: certbot's names are links to what is renewed)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def check_files(certificate: str | None, key: str | None, password: object) -> None:
    """For ``__post_init__``: what belongs together is there. Raises `BadField`."""
    if certificate is None and key is not None:
        raise BadField("key", "needs certificate: the file of the certificate that this is the key of")
    if certificate is None and password is not None:
        raise BadField("key_password", "needs certificate and key")


def _build(wanted: TlsWanted) -> ssl.SSLContext:
    """The same on every version of Python: since 3.13 its own default refuses what browsers and Go take."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslobject_class = Peer
    if wanted.verify:
        context.check_hostname = not wanted.any_name
        # A certificate's common name is no longer read by browsers and Go: without subjectAltName it is for nobody.
        context.hostname_checks_common_name = False
        # Whoever names an intermediate or a server's own certificate with ca_file trusts that one.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _trust(context, wanted.ca_file)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if wanted.minimum is not None:
        if wanted.minimum < "1.2":
            context.set_ciphers("DEFAULT:@SECLEVEL=0")  # from OpenSSL 3 on, TLS 1.0 and 1.1 are below its level 1
        context.minimum_version = VERSIONS[wanted.minimum]
    if wanted.certificate is not None:
        _show(context, wanted)
    if wanted.alpn is not None:
        context.set_alpn_protocols([wanted.alpn])
    return context


def _trust(context: ssl.SSLContext, ca_file: str | None) -> None:
    try:
        if ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        raise LookFailed(Reason.DENIED, f"ca_file {ca_file}: {_said(error)}") from error


def _show(context: ssl.SSLContext, wanted: TlsWanted) -> None:
    """The agent's own certificate. OpenSSL would ask for a password at the terminal, if nobody gave one."""
    files = f"certificate {wanted.certificate}" + (f", key {wanted.key}" if wanted.key else "")
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        if wanted.key_password is None:
            raise LookFailed(Reason.DENIED, f"{files}: the key has a password: give key_password")
        return wanted.key_password.reveal()

    try:
        context.load_cert_chain(wanted.certificate or "", wanted.key, password)
    except (OSError, ssl.SSLError, ValueError) as error:
        why = "key_password is wrong" if asked else _said(error)
        raise LookFailed(Reason.DENIED, f"{files}: {why}") from error


def _said(error: Exception) -> str:
    if not isinstance(error, ssl.SSLError):
        return str(error).partition("] ")[2] or str(error)  # without "[Errno 2] "
    reason = error.reason or "NO_START_LINE"
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    if reason in ("NO_START_LINE", "NO_CERTIFICATE_OR_CRL_FOUND"):
        return "there is no PEM in it that could be used"
    return reason.replace("_", " ").lower()
