"""An errno at the border, in the words of `Reason`."""

from __future__ import annotations

import errno

from probes.contract import LookFailed, Reason

_REASONS = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.EHOSTDOWN: Reason.UNREACHABLE,
    errno.ENETUNREACH: Reason.NO_ROUTE,
    errno.ENETDOWN: Reason.NO_ROUTE,
    errno.ECONNRESET: Reason.RESET,
    errno.ECONNABORTED: Reason.RESET,
    errno.EPIPE: Reason.RESET,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
    errno.EMFILE: Reason.NO_DESCRIPTORS,
    errno.ENFILE: Reason.NO_DESCRIPTORS,
    errno.ENOBUFS: Reason.NO_DESCRIPTORS,
    errno.ENOMEM: Reason.NO_DESCRIPTORS,
    errno.EADDRNOTAVAIL: Reason.NO_DESCRIPTORS,
    errno.EAGAIN: Reason.NO_DESCRIPTORS,  # connect(2): no free local port in the cache
    errno.EPERM: Reason.DENIED,  # a local packet filter
    errno.EACCES: Reason.DENIED,
}


def translated(code: int, where: str, otherwise: Reason) -> LookFailed:
    """The failure that an errno is; `otherwise` is the reason of those that have no name here."""
    return LookFailed(_REASONS.get(code, otherwise), f"{where}: {errno.errorcode.get(code, code)}")
