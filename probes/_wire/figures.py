"""What making a connection measures: the same figures, by the same words, in each probe that makes one."""

from __future__ import annotations

from probes.contract import Measurement, Reason, Unit

RESOLVE_TIME = Measurement("resolve_time", Unit.SECONDS, "Name resolution.")

CONNECT_TIME = Measurement(
    "connect_time",
    Unit.SECONDS,
    "TCP connection, over all addresses that were tried.",
    cut_by=Reason.CONNECT_TIMEOUT,
)

STARTTLS_TIME = Measurement(
    "starttls_time",
    Unit.SECONDS,
    "The conversation before TLS; only with `starttls`.",
    cut_by=Reason.TRANSFER_TIMEOUT,
)


def tls_time(only: str = "") -> Measurement:
    """`only`: with what TLS is spoken at all, such as `https`."""
    return Measurement("tls_time", Unit.SECONDS, f"TLS handshake{_with(only)}.", cut_by=Reason.TLS_TIMEOUT)


def certificate_expires_in(only: str = "") -> Measurement:
    """`only`: as for `tls_time`."""
    return Measurement(
        "certificate_expires_in", Unit.SECONDS, f"Until the first certificate of the chain ends{_with(only)}."
    )


def _with(what: str) -> str:
    return f"; only with {what}" if what else ""
