"""`brownout reload [FILE]`: the running agent reads its file again, and what becomes of that is told here.

With a token the agent is asked over HTTP. Without one it is sent SIGHUP, as the holder of the state directory that
the file names, and its API tells how it went.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from monitor import address
from monitor.commands._address import address_of
from monitor.commands._asking import (
    PATIENCE,
    TOKEN,
    NotAsked,
    bearer,
    client_of_ours,
    detail_of,
    document_of,
    found_address,
    given_token,
    must_watch,
    request,
    settings_of,
    state_dirs,
)
from monitor.commands._common import FINDING, FINE, fail, print_json
from monitor.commands._configuration import FAULTS_SHOWN, default_file, print_faults
from monitor.config.model import AgentSettings, ConfigError
from monitor.sinks.console import harmless
from monitor.store.holder import holder

POLL = 0.1
"""Seconds between two looks at what became of it."""


def execute(options: Namespace) -> int:
    try:
        token = given_token(options.token_file)
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


def _ask(options: Namespace, token: str) -> Mapping[str, Any]:
    """Over the API."""
    with client_of_ours() as client:
        url = options.url.rstrip("/") or found_address(client, options.file, token)
        answer = request(client, "POST", f"{url}/api/v1/reload", bearer(token))
    if answer.status_code in (httpx.codes.OK, httpx.codes.UNPROCESSABLE_ENTITY):
        return document_of(answer, "accepted", url)
    raise NotAsked(f"the agent at {url} refused to be asked: {detail_of(answer)}")


def _signal(options: Namespace) -> Mapping[str, Any]:
    """By SIGHUP, on the agent's own machine."""
    settings = settings_of(options.file)
    directory, pid = _running(settings, options)
    url = options.url.rstrip("/") or address.told(directory) or address_of(settings)
    with client_of_ours() as client:
        before = _config(client, url)
        must_watch(options.file, before, f"the agent {pid}")
        try:
            os.kill(pid, signal.SIGHUP)
        except PermissionError:
            raise NotAsked(f"the agent {pid} belongs to another user: use sudo, or a token ({TOKEN})") from None
        except ProcessLookupError:
            raise NotAsked(f"the agent {pid} has just ended") from None
        return _awaited(client, url, _number(before))


def _running(settings: AgentSettings, options: Namespace) -> tuple[Path, int]:
    """The state directory, and the pid of the agent that holds it."""
    directories = state_dirs(settings)
    for directory in directories:
        try:
            pid = holder(directory)
        except OSError as error:
            told = f"{directory}/agent.lock cannot be read ({error.strerror}): use sudo, or a token ({TOKEN})"
            raise NotAsked(told) from None
        if pid is not None:
            return directory, pid
    file = options.file or default_file()
    raise NotAsked(
        f"no agent runs with state_dir {' or '.join(map(str, directories))} ({file}): start one with "
        f"brownout run {file}; where it is a service, see systemctl status brownout"
    )


def _awaited(client: httpx.Client, url: str, number: int) -> Mapping[str, Any]:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        reload = _config(client, url).get("reload")
        if reload is not None and reload["number"] > number:
            return dict(reload)
        time.sleep(POLL)
    raise NotAsked(f"the agent was told, and has not answered for {PATIENCE:g} s: see its log")


def _config(client: httpx.Client, url: str) -> Mapping[str, Any]:
    answer = request(client, "GET", f"{url}/api/v1/config", {})
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise NotAsked(f"the agent at {url} answers nobody without a token: give one in {TOKEN} or with --token-file")
    if answer.status_code != httpx.codes.OK:
        raise NotAsked(f"{url} answered {answer.status_code}: is it a Brownout agent? name it with --url")
    return document_of(answer, "loaded", url)


def _number(config: Mapping[str, Any]) -> int:
    return int(config["reload"]["number"]) if config["reload"] else 0


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
