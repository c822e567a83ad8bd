"""`brownout mark deploy v42`: tell a running agent what was deployed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import httpx

from monitor.commands._agent import asked
from monitor.commands._asking import NotAsked, bearer, detail_of, document_of, request
from monitor.commands._common import FINE, print_json
from monitor.sinks.console import harmless

PATH = "/api/v1/deploys"


def execute(options: Namespace) -> int:
    def mark(client: httpx.Client, url: str, token: str) -> int:
        return _mark(client, url, token, options)

    return asked(options, PATH, mark, writes=True, manual="deploys.md")


def _mark(client: httpx.Client, url: str, token: str, options: Namespace) -> int:
    said = {
        "version": options.version_name,
        "services": options.services,
        "environment": options.environment,
        "at": options.at,
        "by": options.by,
        "url": options.link,
    }
    body = {key: value for key, value in said.items() if value}
    answer = request(client, "POST", url, bearer(token), body)
    if answer.status_code not in (httpx.codes.CREATED, httpx.codes.OK):
        raise NotAsked(f"the agent refused: {detail_of(answer)}")
    deploy = document_of(answer, "version", url)
    if options.json:
        print_json(deploy)
    else:
        print(harmless(_told(deploy, known=answer.status_code == httpx.codes.OK)))
    return FINE


def _told(deploy: Mapping[str, Any], *, known: bool) -> str:
    of = f" of {', '.join(deploy['services'])}" if deploy["services"] else ""
    if known:
        return f"deploy {deploy['version']}{of} was marked already, at {deploy['at']}"
    return f"marked: deploy {deploy['version']}{of}, at {deploy['at']}; what begins within an hour names it"
