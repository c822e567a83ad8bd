"""`brownout reload [FILE]`: the running agent reads its file again, and what becomes of that is told here.

With a token the agent is asked over HTTP. Without one it is sent SIGHUP, as the holder of the state directory that
the file names, and its API tells how it went.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from monitor import address
from monitor.commands._common import FINDING, FINE, fail, print_json
from monitor.commands._configuration import FAULTS_SHOWN, default_file, print_faults
from monitor.config.load import find_agent
from monitor.config.model import AgentSettings, ConfigError
from monitor.sinks.console import harmless
from monitor.store.holder import holder
from monitor.tokens import TOKEN_FORM, is_token

TOKEN = "BROWNOUT_TOKEN"  # noqa: S105  (the name of a variable)
INSTALLED = Path("/var/lib/brownout")
"""Where an agent that systemd has started keeps its journal, if its file does not say."""
PATIENCE = 120.0
"""Seconds that a reload may take: 10,000 checks take about four."""
POLL = 0.1
"""Seconds between two looks at what became of it."""
LONGEST_TOKEN_FILE = 4096
"""Bytes of it that are read: more is no token."""


class NotAsked(Exception):
    """The agent was not asked, or what became of it is not known; the text says what to do."""


def execute(options: Namespace) -> int:
    try:
        token = _token(options.token_file)
        outcome = _ask(options, token) if token else _signal(options)
    except ConfigError as error:
        print_faults(error, ending="; the agent was not asked")
        return FINDING
    except NotAsked as error:
        return fail(str(error))
    if options.json:
        print_json(outcome)
    else:
        _show(outcome)
    return FINE if outcome["accepted"] else FINDING


def _token(file: Path | None) -> str:
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


def _settings(options: Namespace) -> AgentSettings:
    """Raises `ConfigError`."""
    return find_agent(options.file or default_file(), env=os.environ)


def _ask(options: Namespace, token: str) -> Mapping[str, Any]:
    """Over the API."""
    with _client() as client:
        url = options.url.rstrip("/") or _found_address(client, options, token)
        answer = _request(client, "POST", f"{url}/api/v1/reload", _bearer(token))
    if answer.status_code in (httpx.codes.OK, httpx.codes.UNPROCESSABLE_ENTITY):
        return _document(answer, "accepted", url)
    raise NotAsked(f"the agent at {url} refused to be asked: {_detail(answer)}")


def _signal(options: Namespace) -> Mapping[str, Any]:
    """By SIGHUP, on the agent's own machine."""
    settings = _settings(options)
    directory, pid = _running(settings, options)
    url = options.url.rstrip("/") or address.told(directory) or _address(settings)
    with _client() as client:
        before = _config(client, url)
        _must_watch(options.file, before, f"the agent {pid}")
        try:
            os.kill(pid, signal.SIGHUP)
        except PermissionError:
            raise NotAsked(f"the agent {pid} belongs to another user: use sudo, or a token ({TOKEN})") from None
        except ProcessLookupError:
            raise NotAsked(f"the agent {pid} has just ended") from None
        return _awaited(client, url, _number(before))


def _running(settings: AgentSettings, options: Namespace) -> tuple[Path, int]:
    """The state directory, and the pid of the agent that holds it."""
    for directory in dict.fromkeys((settings.state_dir, INSTALLED)):
        try:
            pid = holder(directory)
        except OSError as error:
            told = f"{directory}/agent.lock cannot be read ({error.strerror}): use sudo, or a token ({TOKEN})"
            raise NotAsked(told) from None
        if pid is not None:
            return directory, pid
    file = options.file or default_file()
    raise NotAsked(
        f"no agent runs with state_dir {settings.state_dir} ({file}), nor with {INSTALLED}: start one with "
        f"brownout run {file}; where it is a service, see systemctl status brownout"
    )


def _found_address(client: httpx.Client, options: Namespace, token: str) -> str:
    """Where the agent that watches this file answers; nobody else is asked, or given the token of this one."""
    settings = _settings(options)
    directory = next((item for item in (settings.state_dir, INSTALLED) if _is_held(item)), None)
    # What the agent itself has written down: a changed `listen` takes effect with its next start only.
    url = (address.told(directory) if directory else "") or _address(settings)
    if options.file is not None:
        answer = _request(client, "GET", f"{url}/api/v1/config", {})
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # reading is protected
            answer = _request(client, "GET", f"{url}/api/v1/config", _bearer(token))
        if answer.status_code == httpx.codes.OK:
            _must_watch(options.file, _document(answer, "loaded", url), f"the agent at {url}")
        elif directory != settings.state_dir:
            told = _detail(answer)
            raise NotAsked(f"whether the agent at {url} watches {options.file} cannot be told ({told}): use --url")
    return url


def _is_held(directory: Path) -> bool:
    """Whether an agent runs there: what one that was killed has written down may be somebody else's address now."""
    try:
        return holder(directory) is not None
    except OSError:  # it is not ours to read
        return False


def _must_watch(asked: Path | None, config: Mapping[str, Any], who: str) -> None:
    """Raises `NotAsked` where a file was named, and it is not that of this agent."""
    own = Path(config["file"])
    with suppress(OSError):
        if asked is None or asked.absolute() == own or asked.samefile(own):
            return
    raise NotAsked(f"{who} watches {own}, and not {asked}: name that file, or restart it with this one")


def _bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _address(settings: AgentSettings) -> str:
    listen = settings.listen
    host = "127.0.0.1" if listen.host in ("", "0.0.0.0", "::") else listen.host  # noqa: S104  (asked, not bound)
    return f"http://[{host}]:{listen.port}" if ":" in host else f"http://{host}:{listen.port}"


def _awaited(client: httpx.Client, url: str, number: int) -> Mapping[str, Any]:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        reload = _config(client, url).get("reload")
        if reload is not None and reload["number"] > number:
            return dict(reload)
        time.sleep(POLL)
    raise NotAsked(f"the agent was told, and has not answered for {PATIENCE:g} s: see its log")


def _config(client: httpx.Client, url: str) -> Mapping[str, Any]:
    answer = _request(client, "GET", f"{url}/api/v1/config", {})
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise NotAsked(f"the agent at {url} answers nobody without a token: give one in {TOKEN} or with --token-file")
    if answer.status_code != httpx.codes.OK:
        raise NotAsked(f"{url} answered {answer.status_code}: is it a Brownout agent? name it with --url")
    return _document(answer, "loaded", url)


def _number(config: Mapping[str, Any]) -> int:
    return int(config["reload"]["number"]) if config["reload"] else 0


def _client() -> httpx.Client:
    # A proxy of the environment knows nothing of our loopback.
    return httpx.Client(timeout=httpx.Timeout(PATIENCE, connect=3.0), trust_env=False)


def _request(client: httpx.Client, method: str, url: str, headers: Mapping[str, str]) -> httpx.Response:
    try:
        return client.request(method, url, headers=headers)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise NotAsked("--url must begin with http:// or https://, as in http://127.0.0.1:9788") from None
    except httpx.TransportError as error:
        told = harmless(str(error))[:200] or type(error).__name__
        raise NotAsked(
            f"no agent answers at {url.partition('/api/')[0]} ({told}): name its address with --url"
        ) from None


def _document(answer: httpx.Response, key: str, url: str) -> Mapping[str, Any]:
    try:
        document = answer.json()
        if isinstance(document, dict) and key in document:
            return document
    except (json.JSONDecodeError, UnicodeDecodeError):
        pass
    raise NotAsked(f"what answers at {url} is not a Brownout agent: name the agent's address with --url")


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return f"it answered {answer.status_code}"
    return harmless(str(detail))[:300]


def _show(outcome: Mapping[str, Any]) -> None:
    if outcome["accepted"]:
        print(harmless(outcome["sentence"]))
        return
    for fault in outcome["faults"][:FAULTS_SHOWN]:
        where = f"{fault['file']}:{fault['line']}:{fault['column']}" if fault["line"] else fault["file"]
        path = f"{fault['path']}: " if fault["path"] else ""
        print(harmless(f"{where}: {path}{fault['message']}"), file=sys.stderr)
    left_out = outcome.get("more_faults", 0)
    if (more := len(outcome["faults"]) + left_out - FAULTS_SHOWN) > 0:
        listed = "more of them" if left_out else "them all"
        print(f"... and {more} more: brownout reload --json lists {listed}", file=sys.stderr)
    print(f"brownout: {harmless(outcome['sentence'])}", file=sys.stderr)
