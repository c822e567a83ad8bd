"""What a webhook carries: each format against its official schema, templates, and the reference libraries' word."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from standardwebhooks.webhooks import Webhook as Reference

from monitor.sinks import _template
from monitor.sinks._formats import Format
from monitor.sinks.contract import SendFailed
from monitor.sinks.webhook import Webhook
from probes.contract import BadField, Secret
from tests.sinks.lives import (
    ACKNOWLEDGED,
    ALL,
    CANNOT_TELL,
    DEPLOY,
    HOSTILE,
    OPENED,
    RESOLVED,
    TEST,
    WORSE,
    delivered,
    hostile,
)
from tests.sinks.made import context, mockable
from tests.sinks.official import hold, limits
from tests.sinks.telling import Pager

URL = "https://hooks.example.com/x"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass
class Receiver(Pager):
    requests: list[httpx.Request] = field(default_factory=list)

    def take(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(204)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


# --- CloudEvents ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
async def test_cloudevents(receiver: Receiver, name: str) -> None:
    for told in (ALL[name], hostile(ALL[name])):
        await receiver.send(Webhook(URL, format=Format.CLOUDEVENTS, secret=(Secret(SECRET),)), told)
        sent = receiver.bodies[-1]
        hold("cloudevents", "", sent)
        assert sent["data"] == json.loads(json.dumps(told))
        assert (sent["id"], sent["type"]) == (told["id"], f"brownout.{told['type']}")
        assert receiver.requests[-1].headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        assert receiver.requests[-1].headers["webhook-id"] == sent["id"]
    assert len(receiver.requests[0].content) <= limits("cloudevents")["event"]["safe_max_bytes"]


async def test_half_a_character_is_none(receiver: Receiver) -> None:
    await receiver.send(Webhook(URL, format=Format.CLOUDEVENTS), OPENED | {"why": "\ud800"})
    assert receiver.bodies[0]["data"]["why"] == "?"


# --- Alertmanager's webhook -------------------------------------------------------------------------------------


async def test_alertmanagers_webhook(receiver: Receiver) -> None:
    sink = Webhook(URL, format=Format.ALERTMANAGER)
    await receiver.send(sink, OPENED, CANNOT_TELL | {"incident": OPENED["incident"]}, WORSE, ACKNOWLEDGED)
    await receiver.send(sink, RESOLVED)
    opened, worse, resolved = receiver.bodies
    for sent in receiver.bodies:
        hold("alertmanager-webhook", "", sent)
    assert len({sent["groupKey"] for sent in receiver.bodies}) == 1
    assert [sent["status"] for sent in receiver.bodies] == ["firing", "firing", "resolved"]
    assert _alerts(opened) == {"warning": "firing"}
    assert _alerts(worse) == {"critical": "firing", "warning": "resolved"}
    assert _alerts(resolved) == {"critical": "resolved"}
    prints = {alert["labels"]["severity"]: alert["fingerprint"] for alert in worse["alerts"]}
    assert opened["alerts"][0]["fingerprint"] == prints["warning"] != prints["critical"]
    assert resolved["alerts"][0]["fingerprint"] == prints["critical"]
    assert opened["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"
    assert opened["commonLabels"]["service"] == "shop"
    assert "severity" not in worse["commonLabels"]
    assert receiver.memory == {}


def _alerts(sent: dict[str, Any]) -> dict[str, str]:
    return {alert["labels"]["severity"]: alert["status"] for alert in sent["alerts"]}


async def test_an_end_is_told_without_memory_and_a_test_leaves_nothing_open(receiver: Receiver) -> None:
    sink = Webhook(URL, format=Format.ALERTMANAGER)
    await receiver.send(sink, RESOLVED, TEST, RESOLVED | {"test": True}, DEPLOY)
    assert [sent["status"] for sent in receiver.bodies] == ["resolved", "firing", "resolved"]
    assert _alerts(receiver.bodies[0]) == {"critical": "resolved", "warning": "resolved"}
    assert receiver.memory == {}


async def test_what_was_refused_is_not_remembered(receiver: Receiver) -> None:
    receiver.answers = [httpx.Response(503)]
    with pytest.raises(SendFailed):
        await receiver.send(Webhook(URL, format=Format.ALERTMANAGER), OPENED)
    assert receiver.memory == {}


@pytest.mark.parametrize("name", ALL)
async def test_hostile_alerts(receiver: Receiver, name: str) -> None:
    await receiver.send(Webhook(URL, format=Format.ALERTMANAGER), hostile(ALL[name]))
    for sent in receiver.bodies:
        hold("alertmanager-webhook", "", sent)


# --- templates --------------------------------------------------------------------------------------------------

TEMPLATE = (
    '{"text": {{ event.sentence | tojson }}, "level": "{{ class }}", "key": {{ key | tojson }}, '
    '"why": {{ event.check.labels.nothing.at.all | default("?", true) | tojson }}}'
)


@pytest.mark.parametrize("name", ALL)
async def test_a_template_makes_the_body(receiver: Receiver, name: str) -> None:
    for told in (ALL[name], hostile(ALL[name])):
        await receiver.send(Webhook(URL, template=TEMPLATE, secret=(Secret(SECRET),)), told)
        sent = receiver.bodies[-1]
        assert sent["text"] == told["sentence"]
        assert sent["why"] == "?"
        assert receiver.requests[-1].headers["content-type"] == "application/json"
    if name == "worse":
        assert receiver.bodies[0]["level"] == "outage"


async def test_what_a_target_has_written_is_no_template(receiver: Receiver) -> None:
    await receiver.send(
        Webhook(URL, template="{{ event.why }}", content_type="text/plain"), OPENED | {"why": "{{ 7 * 191 }}"}
    )
    assert receiver.requests[0].content == b"{{ 7 * 191 }}"
    assert receiver.requests[0].headers["content-type"] == "text/plain"


async def test_a_template_that_fails_at_an_event_makes_a_dead_letter(receiver: Receiver) -> None:
    sink = Webhook(URL, template='{"at": 1{{ event.advice }}}')
    with pytest.raises(SendFailed) as raised:
        await receiver.send(sink, OPENED)
    assert raised.value.permanent
    assert str(raised.value) == "the template makes no JSON of this event"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ event.sentence", "line 1: "),
        ('"a"\n{% if x %}', "line 2: "),
        ('{"text": "{{ event.sentence }}"}', "makes no JSON of an event"),
        ("{{ event | nosuch }}", "line 1: No filter named 'nosuch'"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "the template fails: "),
        ("{{ event.sentence.format(1) }}", "the template fails: "),
        ("{{ '{:1000000000}'.format(1) }}", "the template fails: "),
        ("{{ 'x' * 1000000000 }}", "the template fails: * is for figures only"),
        ("{{ 9 ** 9 ** 9 ** 9 }}", "the template fails: "),
        ("{{ '%01000000000d' % 1 }}", "the template fails: "),
        ("{{ 'x' | center(1000000000) }}", "line 1: No filter named 'center'"),
        ("{{ 'x'.center(1000000000) }}", "the template fails: "),
        ("{% for a in range(1000000000) %}x{% endfor %}", "the template fails: "),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "the template fails: RecursionError"),
        ("{% include '/etc/passwd' %}", "the template fails: "),
        ("x" * 20_001, "must have at most 20000 characters"),
        ("{{ 1 / 0 }}", "the template fails: ZeroDivisionError"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template: str, said: str) -> None:
    with pytest.raises(BadField) as raised:
        Webhook(URL, template=template)
    assert raised.value.field == "template"
    assert str(raised.value).startswith(said)


def test_a_body_has_a_limit() -> None:
    long = "".join(f"{{% for {name} in event.state %}}" for name in "abcdefghijklmnop") + "x" * 50
    with pytest.raises(BadField, match="more than 256 KiB"):
        _template.check(long + "{% endfor %}" * 16, as_json=False)


def test_one_of_them() -> None:
    for facts in ({"template": "1", "format": Format.CLOUDEVENTS}, {"template": "1", "content_type": "a/b\r\nc: d"}):
        with pytest.raises(BadField):
            Webhook(URL, **facts)
    with pytest.raises(BadField, match="is for a template"):
        Webhook(URL, content_type="text/plain")


# --- the signature, as the reference libraries see it -----------------------------------------------------------


async def _signed(sink: Webhook, told: dict[str, Any]) -> httpx.Request:
    with respx.mock:
        route = respx.post(URL).respond(204)
        async with mockable() as client:
            await sink.send(delivered(told), context(client, now=datetime.now(UTC)))
        return route.calls[0].request


@pytest.mark.parametrize("format_", Format)
async def test_the_reference_library_in_python(format_: Format) -> None:
    told = OPENED | {"why": HOSTILE}
    request = await _signed(Webhook(URL, secret=(Secret(SECRET),), format=format_), told)
    assert Reference(SECRET).verify(request.content, dict(request.headers))


_NODE = Path(__file__).parent.parent / "node"


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed here")
@pytest.mark.skipif(not (_NODE / "node_modules" / "standardwebhooks").exists(), reason="npm install was not run")
async def test_the_reference_library_in_node() -> None:
    told = OPENED | {"why": HOSTILE + " größe €"}
    new = "whsec_" + base64.b64encode(b"another key of 24 and more bytes").decode()
    request = await _signed(Webhook(URL, secret=(Secret(new), Secret(SECRET))), told)
    headers, good = dict(request.headers), request.content
    old = headers | {"webhook-timestamp": str(int(time.time()) - 3600)}
    assert json.loads(_verified(SECRET, headers, good)) == json.loads(good), "a rotation: both keys sign"
    assert json.loads(_verified(new, headers, good)) == json.loads(good)
    assert _verified(SECRET, headers, good + b" ").startswith("refused: No matching signature")
    assert _verified(SECRET, old, good).startswith("refused: Message timestamp too old")


def _verified(secret: str, headers: dict[str, str], body: bytes) -> str:
    told = {"secret": secret, "headers": headers, "body": base64.b64encode(body).decode()}
    done = subprocess.run(
        ["node", str(_NODE / "verify.mjs")], input=json.dumps(told), capture_output=True, text=True, check=True
    )
    return done.stdout
