"""Where texts come from: the file itself, ``${VAR}``, ``{file: /path}``, ``{credential: name}``; and what is secret.

``${VAR}`` and ``${VAR:-default}`` are replaced inside any text (``$${`` is the text ``${``). A mapping of the one key
``file`` or ``credential`` stands wherever a text does; a credential is a file in ``$CREDENTIALS_DIRECTORY``, where
systemd puts what LoadCredential= names.

Secret is what came from a file or credential, what stands in a field of the type `Secret`, the password in a URL,
and what ``${VAR}`` put into a field that is not shown by its nature, from 8 characters on.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from monitor.config.document import Plain
from monitor.config.redact import FaultRedactor, Redactor

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$\{")
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s:@]*:([^/?#\s]*)@")
_BARE_PASSWORD = re.compile(r"\A[^/?#\s:@]*:([^/?#\s]+)@")
"""That of an address without a scheme; it may be no password (``mailto:ops@example.com``), so only faults mask it."""
_SOURCES = ("file", "credential")
_LONGEST_FILE = 64 * 1024
_LONGEST_VARIABLES = 1024 * 1024
_SHORTEST_VARIABLE = 8
_HARMLESS_HEADERS = frozenset(
    {
        "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection",
        "content-type", "dnt", "expect", "from", "host", "origin", "pragma", "range", "referer", "te", "user-agent",
    }
)  # fmt: skip
"""Written out in the file, these are no secrets; masking ``text/html`` everywhere would only blank out words."""


class Secrets:
    """Resolves the texts of one configuration and remembers which of them are secret."""

    def __init__(self, env: Mapping[str, str], base: Path) -> None:
        self._env = env
        self._base = base
        self._read: dict[Path, str] = {}
        self._secret: set[str] = set()
        self._borrowed: set[str] = set()

    def resolve(self, value: Plain, *, public: bool = False, secret: bool = False, needed: bool = False) -> str:
        """The text that `value` stands for. Raises `ValueError` without ever showing the text.

        `public` fields (names, labels) are shown by nature: a variable in them makes no secret. `secret` fields hide
        all that they hold. Where a text is `needed`, as a secret always is, no default is advised.
        """
        if type(value) is str:
            text = _copy(value) if "$" not in value else self._expand(value, public, secret, needed)
        elif value is None:
            raise ValueError("has no value: write one, or remove the key")
        else:
            text = self._fetch(value)
        if secret:
            self._secret.add(text)
        if "@" in text and ":" in text:
            self._note_passwords(text)
        return text

    def whole(self, path: str) -> str:
        """A path that is written in the configuration, from the root: it is relative to that file."""
        return os.path.join(os.path.abspath(self._base), path)  # noqa: PTH100, PTH118  (links stay as written)

    def redactor(self) -> Redactor:
        return Redactor(self._secret)

    def fault_redactor(self) -> Redactor:
        """For messages: hides also what short variables held."""
        return FaultRedactor(self._secret | self._borrowed)

    def _expand(self, written: str, public: bool, secret: bool, needed: bool) -> str:  # noqa: FBT001  (resolve's)
        left = _LONGEST_VARIABLES

        def replace(match: re.Match[str]) -> str:
            nonlocal left
            if match[0] == "$${":
                return "${"
            name = match[1]
            if name is None:
                raise ValueError("${ is not closed: write ${NAME} or ${NAME:-default}, and $${ for the text itself")
            value = self._env.get(name)
            if match[2] is not None and not value:
                return match[3]
            if value is None:
                advice = "" if secret or needed else f", or write ${{{name}:-default}}"
                raise ValueError(f"the environment variable {name} is not set: set it in the environment{advice}")
            self._borrowed.add(value)
            left -= len(value)
            if left < 0:
                raise ValueError("variables make it longer than 1 MiB: name fewer of them")
            if secret or (not public and len(value) >= _SHORTEST_VARIABLE):
                self._secret.add(value)
            return value

        return _REFERENCE.sub(replace, written)

    def _fetch(self, value: Plain) -> str:
        if not isinstance(value, dict):
            raise ValueError("must be a single text, not a list")  # noqa: TRY004  (pydantic takes ValueError)
        if len(value) != 1 or next(iter(value)) not in _SOURCES:
            raise ValueError("must be a text, {file: /path} or {credential: name}, not another mapping")
        source, written = next(iter(value.items()))
        if type(written) is not str:
            raise ValueError(f"{source}: must name the {source}")
        name = self._expand(written, True, False, True)  # noqa: FBT003
        text = self._read_file(self._base / name if source == "file" else self._credential(name))
        self._secret.add(text)
        return text

    def _credential(self, name: str) -> Path:
        directory = self._env.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise ValueError(
                "no credentials here ($CREDENTIALS_DIRECTORY is not set): in a shell of root's put"
                " CREDENTIALS_DIRECTORY=/etc/brownout/secrets before the command; a service of your own needs"
                f" LoadCredential={name}:/path"
            )
        if "/" in name or name in ("", ".", ".."):
            raise ValueError("credential: must be a plain name, without a path")
        # The shipped unit loads a whole folder as `secrets`; systemd then calls its files secrets_NAME.
        for path in (Path(directory) / name, Path(directory) / f"secrets_{name}"):
            if os.path.lexists(path):
                return path
        raise ValueError(
            f"there is no credential {name}: write it into /etc/brownout/secrets/{name}, or name its file in"
            f" LoadCredential={name}:/path, and restart the service (a reload does not read credentials anew)"
        )

    def _read_file(self, path: Path) -> str:
        if path in self._read:
            return self._read[path]
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ValueError(f"{path} is not a regular file: name the file that holds the secret")
            with path.open("rb") as stream:
                raw = stream.read(_LONGEST_FILE + 1)
        except FileNotFoundError:
            raise ValueError(f"the file {path} does not exist: create it, or correct the path") from None
        except OSError as error:
            raise ValueError(f"the file {path} cannot be read ({error.strerror}): correct its permissions") from None
        if len(raw) > _LONGEST_FILE:
            raise ValueError(f"the file {path} is larger than 64 KiB: that is no secret")
        try:
            text = raw.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ValueError(f"the file {path} is not UTF-8 text") from None
        if not text:
            raise ValueError(f"the file {path} is empty: write the secret into it")
        self._read[path] = text
        return text

    def _note_passwords(self, text: str) -> None:
        for password in _PASSWORD.findall(text):
            self._secret.update((password, unquote(password)))
        self._borrowed.update(_BARE_PASSWORD.findall(text))


def _copy(text: str) -> str:
    """A text of its own: one that lay among the file's nodes would keep their memory from being given back."""
    return text[:1] + text[1:]


def borrowed(value: Plain) -> bool:
    """True when the text of `value` comes from outside the file, so that messages must not show it."""
    return not isinstance(value, str) or "${" in value


def is_harmless(header: str, value: Plain) -> bool:
    """True for a header that is no secret as it is written: ``Accept: text/html``."""
    return not borrowed(value) and header.lower() in _HARMLESS_HEADERS
