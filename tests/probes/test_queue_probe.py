"""The keys of the probe `queue`: each back end takes its own, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from probes.contract import BadField, Secret
from probes.queue import Queue
from probes.queue.backend import backends

REDIS = Secret("redis://:hunter22@127.0.0.1:1/3")


def faults(**keys: Any) -> dict[str, str]:
    with pytest.raises(BadField) as error:
        Queue(**keys)
    assert "hunter22" not in str(error.value)
    return {bad.field: str(bad) for bad in error.value.all}


@pytest.mark.parametrize("name", backends())
def test_every_back_end_has_its_chapter(name: str) -> None:
    kind = backends()[name]
    chapter = Queue.chapters[f"Back end {name}"]
    assert "Keys:" in chapter
    known = {each for each in Queue.__dataclass_fields__ if not each.startswith("_")}
    assert kind.needs | kind.takes <= known, "keys that the probe has"
    assert not kind.needs & kind.takes


@pytest.mark.parametrize("name", backends())
def test_what_a_back_end_needs_is_asked_for(name: str) -> None:
    kind = backends()[name]
    found = faults(backend=name)
    assert found.keys() == kind.needs
    assert all(text == f'"{key}" is missing: the back end {name} needs it' for key, text in found.items())


def test_keys_that_have_no_use_are_refused_all_at_once() -> None:
    found = faults(backend="sidekiq", dsn=Secret("postgres://a:hunter22@b/c"), group="g", topics=("t",))
    assert found.keys() == {"url", "dsn", "group", "topics"}
    assert found["group"] == (
        'the back end sidekiq has no key "group"; it needs url, and takes ca_file, namespace, queues, verify'
    )


def test_a_misspelt_back_end_is_recognised() -> None:
    assert faults(backend="sidekick", url=REDIS)["backend"] == 'unknown back end "sidekick" (did you mean sidekiq?)'
    assert "known are bullmq, celery" in faults(backend="x" * 5000, url=REDIS)["backend"]


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        ("url", {"backend": "sidekiq", "url": Secret("http://:hunter22@a/")}),
        ("queues", {"backend": "sidekiq", "url": REDIS, "queues": ("",)}),
        ("queues", {"backend": "sidekiq", "url": REDIS, "queues": tuple(f"q{number}" for number in range(101))}),
        ("namespace", {"backend": "sidekiq", "url": REDIS, "namespace": "shop:"}),
        ("namespace", {"backend": "resque", "url": REDIS, "namespace": ""}),
        ("prefix", {"backend": "rq", "url": REDIS, "prefix": "shop:"}),
        ("prefix", {"backend": "bullmq", "url": REDIS, "queues": ("a",), "prefix": "bull:"}),
        ("stream", {"backend": "redis_streams", "url": REDIS, "stream": "", "group": "g"}),
    ],
)
def test_values_that_cannot_be_used(key: str, keys: dict[str, Any]) -> None:
    assert faults(**keys).keys() == {key}


def test_what_is_shown_holds_no_password() -> None:
    made = Queue(backend="sidekiq", url=REDIS, queues=("default", "mailers"))
    assert made.target == "sidekiq: redis://127.0.0.1:1/3 default, mailers"
    assert made.host == "127.0.0.1"
    assert "hunter22" not in repr(made)
    assert made == Queue(backend="sidekiq", url=REDIS, queues=("default", "mailers"))


@pytest.mark.parametrize(
    "keys",
    [
        {"backend": "nats", "url": Secret("nats://hunter22@a:4222"), "stream": "s", "consumer": "c"},
        {"backend": "sidekiq", "url": Secret("redis://a:6379/0?password=hunter22")},
        {"backend": "sidekiq", "url": Secret("redis://:hunter22@a:6379/0")},
        {"backend": "rabbitmq", "url": Secret("http://guest:hunter22@a:15672")},
        {"backend": "sql", "dsn": Secret("mysql://a:hunter22@b/c"), "query": "SELECT 1 AS depth"},
    ],
)
def test_a_back_end_knows_what_it_logs_in_with(keys: dict[str, Any]) -> None:
    assert "hunter22" in backends()[keys["backend"]](Queue(**keys)).secrets


def test_a_password_that_no_url_allows_is_known() -> None:
    made = Queue(backend="que", dsn=Secret("postgres://a:p/w#d@b/c"))
    assert "p/w#d" in backends()["que"](made).secrets
