"""What an endpoint sends back is hostile, and may be the secret that it was sent: none of it is shown as it came."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from probes.contract import TEXT_LIMIT, Context, Observation, Secret
from probes.error_rate import ErrorRate
from probes.prometheus import Prometheus
from tests.probes.answers import answer
from tests.probes.conftest import Serve
from tests.probes.judged import look
from tests.probes.test_no_leak import TOKEN, assert_hidden

CONTROL = "\x1b[2J\u202e"


def _error(text: str) -> bytes:
    return answer(400, json.dumps({"status": "error", "errorType": "bad_data", "error": text}).encode())


def _vector(text: str) -> bytes:
    result = [{"metric": {"__name__": text, text: text}, "value": [time.time(), "1"]} for _ in range(2)]
    return answer(200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode())


def _kind(text: str) -> bytes:
    return answer(200, json.dumps({"status": "success", "data": {"resultType": text, "result": []}}).encode())


def _warning(text: str) -> bytes:
    return answer(200, json.dumps({"status": "success", "warnings": [text], "data": {}}).encode())


def text_check(url: str) -> ErrorRate:
    return ErrorRate(
        prometheus=(url,),
        total="hits_total",
        bad='hits_total{s="5"}',
        headers={"Authorization": Secret(f"Bearer {TOKEN}")},
    )


def query_check(url: str) -> Prometheus:
    return Prometheus(url, "up", headers={"Authorization": Secret(f"Bearer {TOKEN}")})


def json_check(url: str) -> ErrorRate:
    return ErrorRate(json=url, total="$.a", bad="$.b", headers={"Authorization": Secret(f"Bearer {TOKEN}")})


ECHOES: dict[str, tuple[Callable[[str], Any], Callable[[str], bytes]]] = {
    "no metrics": (text_check, lambda text: answer(200, text.encode())),
    "bad line": (text_check, lambda text: answer(200, f'hits_total{{a="{text}'.encode())),
    "near name": (text_check, lambda text: answer(200, f"# TYPE hits_totals{text[:60]} counter\n".encode())),
    "status": (text_check, lambda text: answer(500, text.encode())),
    "not JSON": (json_check, lambda text: answer(200, text.encode())),
    "no answer of the API": (query_check, lambda text: answer(200, text.encode())),
    "error": (query_check, _error),
    "labels": (query_check, _vector),
    "kind": (query_check, _kind),
    "warning": (query_check, _warning),
}


@pytest.mark.parametrize("where", ECHOES)
@pytest.mark.parametrize("before", ["", CONTROL + "x" * 70, "x" * 100, "x" * (TEXT_LIMIT - 12)])
async def test_neither_secrets_nor_control_characters_are_shown(
    serve: Serve, context: Context, where: str, before: str
) -> None:
    make, answer = ECHOES[where]
    server = await serve([answer(before + TOKEN + " and so on" * 20)])
    check = make(server.url())
    seen: Observation = await look(check, context)
    assert_hidden(seen, TOKEN)
    for text in (seen.detail, *seen.evidence.values()):
        assert text.isprintable()
        assert len(text) <= 300
    await check.close()


async def test_labels_of_the_worst_series_are_shown_without_secrets(serve: Serve, context: Context) -> None:
    page = 'hits_total{{s="5",t="{}"}} {}\n'
    label = "\u202e" + TOKEN
    server = await serve(*([answer(200, page.format(label, count).encode())] for count in (1, 3)))
    check = text_check(server.url())
    await look(check, context)
    seen = await look(check, context)
    assert seen.measurements["bad_requests"] == 2
    assert_hidden(seen, TOKEN)
    assert seen.evidence["worst"] == 'hits_total{s="5",t="\\u202e***"}: +2'
