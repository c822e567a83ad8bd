"""What commands do alike that ask a running agent over its API: find it, show a token, read the answer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from monitor import address
from monitor.commands._address import address_of, is_held
from monitor.config.model import AgentSettings
from monitor.sinks.console import harmless
from monitor.tokens import TOKEN_FORM, is_token

TOKEN = "BROWNOUT_TOKEN"  # noqa: S105  (the name of a variable)
INSTALLED = Path("/var/lib/brownout")
"""Where an agent that systemd has started keeps its journal, if its file does not say."""
PATIENCE = 120.0
"""Seconds that a reload may take: 10,000 checks take about four."""
LONGEST_TOKEN_FILE = 4096
"""Bytes of it that are read: more is no token."""


class NotAsked(Exception):
    """The agent was not asked, or what became of it is not known; the text says what to do."""


def given_token(file: Path | None) -> str:
    """The token to send, or none; what has not the form of one is neither sent nor shown."""
    if file is None:
        source, text = f"${TOKEN}", os.environ.get(TOKEN, "").strip()
        if not text:
            return ""
    else:
        source, text = f"--token-file {file}", _read_token(file)
    if not is_token(text):
        raise NotAsked(f"{source} holds no token: it must be {TOKEN_FORM}, on one line, and nothing else")
    return text


def _read_token(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            text = stream.read(LONGEST_TOKEN_FILE).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotAsked(f"--token-file {file} cannot be read: {getattr(error, 'strerror', 'it is no text')}") from None
    if not text:
        raise NotAsked(f"--token-file {file} is empty")
    return text


def settings_of(file: Path | None) -> AgentSettings:
    """As the file has it; None: the one that commands go by, and where that is not there, or not for this user to
    read, what holds unless a file says otherwise. Raises `ConfigError`."""
    # What reads files takes most of the time of a command, and who is told an address needs none of it.
    from monitor.commands._configuration import default_file
    from monitor.config.agent import finish_agent
    from monitor.config.load import find_agent
    from monitor.config.schema import AgentKeys

    if file is None and not os.access(default_file(), os.R_OK):
        return finish_agent(AgentKeys(), os.environ, Path())
    return find_agent(file or default_file(), env=os.environ)


def state_dirs(settings: AgentSettings) -> tuple[Path, ...]:
    """Where its agent may keep its journal: where the file says, or where systemd has it."""
    return tuple(dict.fromkeys((settings.state_dir, INSTALLED)))


def found_address(client: httpx.Client, file: Path | None, token: str) -> str:
    """Where the agent that watches this file answers; nobody else is asked, or given the token of this one."""
    settings = settings_of(file)
    directory = next(filter(is_held, state_dirs(settings)), None)
    # What the agent itself has written down: a changed `listen` takes effect with its next start only.
    url = (address.told(directory) if directory else "") or address_of(settings)
    if file is not None:
        answer = request(client, "GET", f"{url}/api/v1/config", {})
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # reading is protected
            answer = request(client, "GET", f"{url}/api/v1/config", bearer(token))
        if answer.status_code == httpx.codes.OK:
            must_watch(file, document_of(answer, "loaded", url), f"the agent at {url}")
        elif directory != settings.state_dir:
            told = detail_of(answer)
            raise NotAsked(f"whether the agent at {url} watches {file} cannot be told ({told}): use --url")
    return url


def must_watch(asked: Path | None, config: Mapping[str, Any], who: str) -> None:
    """Raises `NotAsked` where a file was named, and it is not that of this agent."""
    own = Path(config["file"])
    with suppress(OSError):
        if asked is None or asked.absolute() == own or asked.samefile(own):
            return
    raise NotAsked(f"{who} watches {own}, and not {asked}: name that file, or restart it with this one")


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def client_of_ours(patience: float = PATIENCE) -> httpx.Client:
    # A proxy of the environment knows nothing of our loopback.
    return httpx.Client(timeout=httpx.Timeout(patience, connect=3.0), trust_env=False)


def request(
    client: httpx.Client, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None
) -> httpx.Response:
    """Raises `NotAsked` where nobody answers."""
    try:
        return client.request(method, url, headers=headers, json=body)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise NotAsked("--url must begin with http:// or https://, as in http://127.0.0.1:9788") from None
    except httpx.ReadTimeout:
        raise NotAsked(f"the agent at {shown(url)} does not answer in time: see its log, or its load") from None
    except httpx.TransportError as error:
        told = harmless(str(error))[:200] or type(error).__name__
        raise NotAsked(
            f"no agent answers at {shown(url)} ({told}): start one with brownout run, or name its address with --url"
        ) from None


def shown(url: str) -> str:
    """The address, without a password that was written into it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def document_of(answer: httpx.Response, key: str, url: str) -> Mapping[str, Any]:
    try:
        document = answer.json()
        if isinstance(document, dict) and key in document:
            return document
    except (json.JSONDecodeError, UnicodeDecodeError):
        pass
    raise NotAsked(f"what answers at {shown(url)} is not a Brownout agent: name the agent's address with --url")


def detail_of(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return f"it answered {answer.status_code}, and not as a Brownout agent does"
    return harmless(str(detail))[:300]
