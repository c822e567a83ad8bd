"""What MySQL, MariaDB and the driver say when something is wrong, in the words of `Reason`."""

from __future__ import annotations

from probes._look import Look
from probes._wire.errnos import translated
from probes.contract import LookFailed, Reason

_BY_CODE = {
    # ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED
    **dict.fromkeys((1040, 1203, 1226), Reason.TOO_MANY_CONNECTIONS),
    # Database, user, table, column, privilege, host blocked or unknown, plug-in, expired, locked, TLS demanded.
    **dict.fromkeys(
        (1044, 1045, 1142, 1143, 1227, 1129, 1130, 1251, 1698, 1820, 1862, 2059, 3118, 3159, 4151), Reason.DENIED
    ),
    1049: Reason.MISSING,
    # ER_UNKNOWN_COM_ERROR is Galera's: the node has not joined; ER_SERVER_SHUTDOWN, ER_SERVER_OFFLINE_MODE
    **dict.fromkeys((1047, 1053, 3032), Reason.NOT_READY),
    # ER_STATEMENT_TIMEOUT (MariaDB), ER_QUERY_TIMEOUT (MySQL), ER_LOCK_WAIT_TIMEOUT
    **dict.fromkeys((1969, 3024, 1205), Reason.QUERY_TIMEOUT),
    # Disk full, out of memory, out of threads, cannot write, corrupted.
    **dict.fromkeys((1021, 1037, 1038, 1041, 1135, 3, 1030, 1034, 1194), Reason.NOT_SERVING),
    **dict.fromkeys((1317, 1927, 2006, 2013, 2055), Reason.RESET),
    **dict.fromkeys((2012, 2014, 2027), Reason.PROTOCOL),
}
"""By number (MySQL, "Server Error Message Reference"; MariaDB, "Error Codes")."""

_ADVICE = {
    3159: " (it wants TLS: ssl-mode=REQUIRED)",
    1129: " (mysqladmin flush-hosts lets the agent in again)",
    1792: " (a look only reads)",
}


def failure(look: Look, error: Exception, *, login: bool = False) -> LookFailed:
    """The `LookFailed` for what the driver raised; `login` while there is no session yet."""
    where = look.evidence.get("address", "the server")
    code, text = _parts(error)
    below = error if isinstance(error, OSError) else error.__cause__
    if isinstance(below, OSError) and below.errno is not None:
        return translated(below.errno, where, Reason.RESET)
    if code == 2013 or isinstance(error, EOFError) or isinstance(below, EOFError):
        if login:
            return LookFailed(Reason.EMPTY_REPLY, f"{where}: the server closed the connection during the login")
        return LookFailed(Reason.RESET, f"{where}: the server closed the connection")
    shown = look.show(text, 200)
    if "cryptography" in text:
        return secure_password()
    if code is None:
        return LookFailed(Reason.PROTOCOL, f"{where}: what answers is not MySQL, or garbled: {shown}")
    reason = _BY_CODE.get(code, Reason.NOT_SERVING if login else Reason.QUERY)
    return LookFailed(reason, f"the server answers: {shown}{_ADVICE.get(code, '')} [{code}]")


def secure_password() -> LookFailed:
    """The server asks for a password in a way that anybody between could read or turn to his use."""
    return LookFailed(
        Reason.DENIED, "the server wants the password itself, which is sent over TLS only: ssl-mode=REQUIRED"
    )


def _parts(error: Exception) -> tuple[int | None, str]:
    """The number and the text of an error of the server's, as the driver raises it."""
    from pymysql.err import MySQLError

    if isinstance(error, MySQLError) and error.args and isinstance(error.args[0], int):
        return error.args[0], str(error.args[1]) if len(error.args) > 1 else ""
    return None, f"{type(error).__name__}: {error}"
