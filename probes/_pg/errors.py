"""What PostgreSQL, PgBouncer and the driver say when something is wrong, in the words of `Reason`."""

from __future__ import annotations

import errno
import ssl

from probes._look import Look
from probes._tls.contexts import handshake_failure
from probes._wire.errnos import translated
from probes.contract import LookFailed, Reason

_BY_STATE = {
    "28000": Reason.DENIED,
    "28P01": Reason.DENIED,
    "42501": Reason.DENIED,
    "3D000": Reason.MISSING,
    "57P04": Reason.MISSING,  # the database was dropped
    "53300": Reason.TOO_MANY_CONNECTIONS,
    "57P03": Reason.NOT_READY,
    "40001": Reason.NOT_READY,  # a standby that recovers cancelled it: a look's statements conflict with nothing else
    "40P01": Reason.NOT_READY,
    "57P01": Reason.RESET,
    "57P02": Reason.RESET,
    "57P05": Reason.RESET,
    "57014": Reason.QUERY_TIMEOUT,
    "55P03": Reason.QUERY_TIMEOUT,  # lock_timeout
    "25P03": Reason.QUERY_TIMEOUT,  # idle_in_transaction_session_timeout
    "25P04": Reason.QUERY_TIMEOUT,  # transaction_timeout
}
"""By SQLSTATE (PostgreSQL, appendix A)."""

_BY_CLASS = {
    "08": Reason.PROTOCOL,
    "53": Reason.NOT_SERVING,  # out of disk or memory
    "58": Reason.NOT_SERVING,  # the system below fails
    "XX": Reason.NOT_SERVING,  # corrupted
    "F0": Reason.NOT_SERVING,
}

_BY_TEXT = (
    ("no more connections allowed", Reason.TOO_MANY_CONNECTIONS),
    ("query_wait_timeout", Reason.TOO_MANY_CONNECTIONS),
    ("too many connections", Reason.TOO_MANY_CONNECTIONS),
    ("remaining connection slots", Reason.TOO_MANY_CONNECTIONS),
    ("no such database", Reason.MISSING),
    ("does not exist", Reason.MISSING),
    ("no such user", Reason.DENIED),
    ("authentication failed", Reason.DENIED),
    ("auth failed", Reason.DENIED),
    ("login rejected", Reason.DENIED),
    ("ssl required", Reason.DENIED),
    ("is starting up", Reason.NOT_READY),
    ("is shutting down", Reason.NOT_READY),
    ("database is disabled", Reason.NOT_READY),
    ("pgbouncer is", Reason.NOT_READY),
    ("cannot connect to server", Reason.NOT_SERVING),
    ("server login has been failing", Reason.NOT_SERVING),
    ("server_login_retry", Reason.NOT_SERVING),
    ("server conn crashed", Reason.RESET),
)
"""PgBouncer gives nearly all of its own errors the SQLSTATE 08P01, so that only the text tells them apart."""

_WANTS_TLS = "no encryption"


def refuses_parameters(error: BaseException) -> bool:
    """Whether a pooler refused the settings of the session: PgBouncer does unless it was told to ignore them."""
    return getattr(error, "sqlstate", None) == "08P01" and "startup parameter" in str(error)


def failure(look: Look, error: Exception, *, said: tuple[str, str] | None = None, login: bool = False) -> LookFailed:
    """The `LookFailed` for what the driver raised; `login` while there is no session yet.

    `said` are SQLSTATE and text of the server's last words, before it hung up.
    """
    where = look.evidence.get("address", "the server")
    if isinstance(error, ssl.SSLError):
        return handshake_failure(error)
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str) and state[:3] != "080":
        return _answered(look, state, str(error), login=login)
    if said is not None and state == "08003":
        return _answered(look, *said, login=login)
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.errno is not None:
        if cause.errno == errno.ETIMEDOUT and not login:
            return LookFailed(Reason.RESET, f"{where}: the other side no longer answers")
        return translated(cause.errno, where, Reason.RESET)
    if isinstance(error, OSError) or state == "08003":
        # 08003 is the driver's own word for the end of the connection.
        if login:
            return LookFailed(Reason.EMPTY_REPLY, f"{where}: the server closed the connection during the login")
        return LookFailed(Reason.RESET, f"{where}: the server closed the connection")
    return LookFailed(Reason.PROTOCOL, f"{where}: {look.show(str(error), 200)}")


def _answered(look: Look, state: str, text: str, *, login: bool) -> LookFailed:
    shown = look.show(text, 200)
    reason = _BY_STATE.get(state)
    if reason is None and state == "08P01":
        lower = text.lower()
        reason = next((reason for part, reason in _BY_TEXT if part in lower), None)
    reason = reason or _BY_CLASS.get(state[:2]) or (Reason.PROTOCOL if login else Reason.QUERY)
    advice = " (the server wants TLS: sslmode=require)" if _WANTS_TLS in text and state == "28000" else ""
    return LookFailed(reason, f"the server answers: {shown}{advice} [{look.show(state, 5)}]")
