"""One suite for every probe: the registry finds them, so a new one is held to this by itself."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
import yaml

from probes.contract import Context, Observation, Probe, Secret, Unit
from probes.journey import Step
from probes.registry import builtin
from tests.probes.promises import check_class, check_instance

pytestmark = pytest.mark.both_loops

# Fields that make one instance of each kind, which fails at once: nobody listens there.
EXAMPLES: dict[str, dict[str, Any]] = {
    "http": {"url": "http://127.0.0.1:1/", "headers": {"X": Secret("tell-no-one")}},
    "queue": {"backend": "sidekiq", "url": Secret("redis://:tell-no-one@127.0.0.1:1/0")},
    "heartbeat": {"token": Secret("tell-no-one-at-all"), "period": timedelta(hours=1)},
    "push": {"token": Secret("tell-no-one-at-all"), "figures": {"orders": Unit.COUNT}},
    "postgres": {"dsn": Secret("postgresql://user:tell-no-one@127.0.0.1:1/shop")},
    "mysql": {"dsn": Secret("mysql://user:tell-no-one@127.0.0.1:1/shop")},
    "redis": {"url": Secret("redis://:tell-no-one@127.0.0.1:1/0")},
    "sql": {"dsn": Secret("postgresql://user:tell-no-one@127.0.0.1:1/shop"), "query": "SELECT 1"},
    "tcp": {"address": "127.0.0.1:1"},
    "tls": {"address": "127.0.0.1:1", "certificate": "/no.pem", "key_password": Secret("tell-no-one")},
    "dns": {"query": "shop.example.com", "server": "127.0.0.1:1"},
    "icmp": {"host_": "x" * 64 + ".example"},
    "exec": {"command": ("/no/such/plugin", "--password", "tell-no-one"), "env": {"X": Secret("tell-no-one")}},
    "process": {"program": "no-such-program"},
    "error_rate": {
        "prometheus": ("http://user:tell-no-one@127.0.0.1:1/metrics",),
        "total": "http_requests_total",
        "bad": 'http_requests_total{status=~"5.."}',
    },
    "prometheus": {"url": "http://user:tell-no-one@127.0.0.1:1", "query": "up"},
    "websocket": {"url": "ws://127.0.0.1:1/", "headers": {"X": Secret("tell-no-one")}},
    "grpc": {"address": "127.0.0.1:1", "metadata": {"x": Secret("tell-no-one")}},
    "domain": {"domain": "example.com", "rdap": "http://127.0.0.1:1/"},
    "journey": {"steps": (Step("home", "http://127.0.0.1:1/", headers={"X": Secret("tell-no-one")}),)},
}


def _make(kind: str) -> Probe:
    return builtin()[kind](**EXAMPLES.get(kind, {}))


@pytest.mark.parametrize("kind", builtin())
def test_the_class_keeps_the_contract(kind: str) -> None:
    check_class(builtin()[kind])


@pytest.mark.parametrize("kind", builtin())
def test_the_example_is_yaml_with_known_fields(kind: str) -> None:
    probe = builtin()[kind]
    example = (probe.__doc__ or "").split("```yaml\n")[1].split("```")[0]
    checks = yaml.safe_load(example)["checks"]
    known = {each.name.rstrip("_") for each in dataclasses.fields(probe)} | {
        "name",
        "probe",
        "every",
        "timeout",
        "degraded",
        "down",
    }
    for check in checks:
        assert check["probe"] == kind
        assert check.keys() <= known


@pytest.mark.parametrize("kind", builtin())
async def test_a_look_ends_with_known_figures(kind: str, context: Context) -> None:
    probe = _make(kind)
    check_instance(probe)
    seen = await probe.look(context)
    assert isinstance(seen, Observation)
    assert seen.measurements.keys() <= {measurement.name for measurement in probe.measured}
    assert all(isinstance(value, float) for value in seen.measurements.values())
    assert all(len(text) <= 300 for text in (seen.detail, *seen.evidence.values()))
    assert "tell-no-one" not in repr(seen) + repr(probe) + probe.target
    await probe.close()


@pytest.mark.parametrize("kind", builtin())
def test_instances_are_equal_and_frozen(kind: str) -> None:
    probe = _make(kind)
    assert probe == _make(kind)
    public = next(each.name for each in dataclasses.fields(probe) if not each.name.startswith("_"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(probe, public, "changed")
