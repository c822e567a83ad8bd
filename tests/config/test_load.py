"""Whole files: the design's example, defaults, references, checks.d/, for_each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.config.load import load
from monitor.config.model import Limits, Listen
from monitor.core.condition import Level
from monitor.core.model import Confirm, Impact, Policy, Recover
from monitor.core.routing import ALWAYS, Route
from probes.contract import Secret
from probes.postgres import Postgres
from tests.config.conftest import Load
from tests.config.kinds import KINDS, Database, Http, Queue, Slack


def test_design_example(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "design_example.yaml").read_text()
    key = tmp_path / "pagerduty"
    key.write_text("pd-routing-key\n")
    path = tmp_path / "checks.yaml"
    path.write_text(text.replace("/run/credentials/brownout.service/pagerduty", str(key)))
    env = {
        "SLACK_WEBHOOK_URL": "https://hooks.example.com/T0/B0",
        "HOOK_SECRET": "whsec_c2VjcmV0",
        "DATABASE_URL": "postgres://shop:hunter22@db/shop",
    }
    config = load(path, kinds=KINDS, env=env)

    assert config.agent.listen == Listen("127.0.0.1", 9788)
    assert config.agent.vantage.reference == (("1.1.1.1", 53), ("9.9.9.9", 53))
    assert list(config.checks) == ["home", "checkout", "errors", "database", "jobs"]
    home, errors, jobs = config.checks["home"], config.checks["errors"], config.checks["jobs"]
    assert (home.every, home.timeout) == (timedelta(seconds=15), timedelta(seconds=10))
    assert [condition.text for condition in home.conditions] == [
        "p95(response_time, 5m) > 800ms, clear < 600ms",
        "certificate_expires_in < 14d",
        "response_time > 8s for 3 of 5",
    ]
    assert isinstance(home.probe, Http)
    assert home.probe.expect.status == (200,)
    assert home.labels == {"tier": "web"}
    assert (home.impact, errors.impact) == (Impact.OUTAGE, Impact.DEGRADATION)
    assert errors.conditions[0].ratio_of == ("bad_requests", "requests")
    assert jobs.depends_on == ("database",)
    assert isinstance(jobs.probe, Queue)
    assert jobs.probe.target == "sidekiq: redis://127.0.0.1:6379 default, mailers"
    assert [condition.text for condition in jobs.conditions[:2]] == ["lag > 60s", "lag > 15m"]
    database = config.checks["database"]
    assert isinstance(database.probe, Postgres)
    assert database.probe.target == "db:5432/shop"
    assert {"connections_used > 80%", "longest_transaction > 60s", "replication_lag > 10s"} <= {
        condition.text for condition in database.conditions
    }
    assert config.services["shop"].outage.checks == ("home", "checkout")
    assert config.services["shop"].outage.text == "any of home, checkout"
    assert [route.to for route in config.routes] == [("pager", "chat"), ("chat",), ("hook",)]
    assert config.sinks["chat"] == Slack(url=Secret("https://hooks.example.com/T0/B0"))
    for secret in ("pd-routing-key", "whsec_c2VjcmV0", "hunter22", "https://hooks.example.com/T0/B0"):
        assert config.redactor.text(f"<{secret}>") == "<***>"


def test_defaults_of_everything(read: Load) -> None:
    config = read("checks: [{name: home, probe: http, url: 'http://a/'}]")
    check, service = config.checks["home"], config.services["home"]
    assert (check.every, check.timeout) == (timedelta(seconds=30), timedelta(seconds=10))
    assert (check.confirm, check.recover, check.impact) == (Confirm(), Recover(), Impact.OUTAGE)
    assert service.implicit
    assert service.outage.checks == ("home",)
    assert config.routes == ()
    assert config.agent.limits == Limits()
    assert config.agent.state_dir == Path("/home/ops/.local/state/brownout")
    assert config.agent.vantage.name


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/brownout:/var/lib/more", "HOME": "/h"}, "/var/lib/brownout"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/h"}, "/state/brownout"),
        ({"HOME": "/h"}, "/h/.local/state/brownout"),
    ],
)
def test_state_dir_follows_the_environment(read: Load, env: Mapping[str, str], expected: str) -> None:
    assert read("checks: [{name: a, probe: http, url: http://a/}]", env).agent.state_dir == Path(expected)


def test_a_relative_state_dir_is_beside_the_file(read: Load, tmp_path: Path) -> None:
    config = read("agent: {state_dir: state, listen: '[::1]:0'}\nchecks: [{name: a, probe: http, url: http://a/}]")
    assert config.agent.state_dir == tmp_path / "state"
    assert config.agent.listen == Listen("::1", 0)


def test_defaults_are_taken_over_and_written_keys_win(read: Load) -> None:
    config = read(
        """
        defaults:
          {every: 1m, timeout: 5s, confirm: {looks: 4, policy: consecutive}, recover: {looks: 3},
           labels: {a: 1, b: 1}, owner: web}
        checks:
          - {name: one, probe: http, url: http://a/}
          - {name: two, probe: http, url: http://a/, every: 2s, confirm: {span: 1s}, labels: {b: 2}, owner: ops}
        """
    )
    one, two = config.checks["one"], config.checks["two"]
    assert (one.every, one.timeout, one.owner) == (timedelta(minutes=1), timedelta(seconds=5), "web")
    assert two.timeout == two.every, "a default timeout never exceeds the interval"
    assert two.confirm == Confirm(4, timedelta(seconds=1), Policy.CONSECUTIVE)
    assert two.recover == Recover(3, timedelta(seconds=1))
    assert (two.labels, two.owner) == ({"a": "1", "b": "2"}, "ops")


@pytest.mark.parametrize(
    ("default", "expected"),
    [("on", ["response_time", None, "response_time", None]), ("off", [None, None, "response_time", None])],
)
def test_what_is_compared_with_its_own_past(read: Load, default: str, expected: list[str | None]) -> None:
    config = read(
        f"""
        defaults: {{usual: {default}}}
        checks:
          - {{name: own, probe: http, url: http://a/}}
          - {{name: not, probe: http, url: http://a/, usual: off}}
          - {{name: asked, probe: http, url: http://a/, usual: on}}
          - {{name: other, probe: database, dsn: x}}
        """
    )
    assert [check.usual for check in config.checks.values()] == expected


def test_written_thresholds_add_to_the_probes_own(read: Load) -> None:
    config = read(
        """
        checks:
          - {name: own, probe: http, url: http://a/, degraded: response_time > 1s}
          - {name: same, probe: http, url: http://a/, degraded: certificate_expires_in < 14d}
          - {name: bare, probe: http, url: http://a/, defaults: off, down: response_time > 1s}
        """
    )
    texts = {name: [c.text for c in check.conditions] for name, check in config.checks.items()}
    assert texts["own"] == ["response_time > 1s", "certificate_expires_in < 14d"]
    assert texts["same"] == ["certificate_expires_in < 14d"]
    assert texts["bare"] == ["response_time > 1s"]
    assert config.checks["bare"].conditions[0].level is Level.DOWN


def test_scalars_are_text_until_a_field_gives_them_a_type(read: Load) -> None:
    config = read(
        """
        checks:
          - name: 22:30
            probe: http
            url: http://a/
            method: POST
            body: on
            headers: {X-Off: off, Authorization: 0123}
            expect: {status: [200, 204], body: 1e3}
            verify: false
            max_bytes: 2MiB
        """
    )
    probe = config.checks["22:30"].probe
    assert isinstance(probe, Http)
    assert (probe.body, probe.expect.body, probe.verify, probe.max_bytes) == ("on", "1e3", False, 2 * 1024**2)
    assert probe.headers == {"X-Off": Secret("off"), "Authorization": Secret("0123")}
    assert probe.expect.status == (200, 204)


def test_enum_tuple_float_and_timedelta_fields(read: Load) -> None:
    config = read(
        """
        checks:
          - {name: p, probe: database, dsn: postgres://d/, patience: 1m30s, pool: statement, standbys: b, weight: 0.5}
        """
    )
    database = config.checks["p"].probe
    assert isinstance(database, Database)
    assert (database.patience, database.pool, database.standbys, database.weight) == (
        timedelta(seconds=90),
        "statement",
        ("b",),
        0.5,
    )


def test_disabled_checks_are_checked_but_left_out_with_every_reference_to_them(read: Load) -> None:
    config = read(
        """
        services: {shop: {outage: "all of a, b"}, idle: {outage: any of c}}
        checks:
          - {name: a, service: shop, probe: http, url: http://a/, depends_on: c}
          - {name: b, service: shop, probe: http, url: http://a/, enabled: false}
          - {name: c, service: idle, probe: http, url: http://a/, enabled: false}
        """
    )
    assert list(config.checks) == ["a"]
    assert config.disabled == 2
    assert config.checks["a"].depends_on == ()
    assert list(config.services) == ["shop"]
    assert (config.services["shop"].outage.needed, config.services["shop"].outage.checks) == (1, ("a",))


def test_without_a_rule_any_check_with_outage_impact_is_an_outage(read: Load) -> None:
    config = read(
        """
        services: {shop: }
        checks:
          - {name: a, service: shop, probe: http, url: http://a/}
          - {name: b, service: shop, probe: http, url: http://a/, impact: degradation}
        """
    )
    assert config.services["shop"].checks == ("a", "b")
    assert config.services["shop"].outage.checks == ("a",)
    assert config.services["shop"].title == "shop"


def test_ids_names_and_renames(read: Load) -> None:
    config = read(
        """
        services: {shop: {outage: 1 of Home page}}
        checks:
          - {name: Home page, id: home, was: [start], service: shop, probe: http, url: http://a/}
          - {name: b, service: shop, probe: http, url: http://a/, depends_on: Home page}
        """
    )
    assert config.checks["home"].was == ("start",)
    assert config.services["shop"].outage.checks == ("home",)
    assert config.checks["b"].depends_on == ("home",)


def test_sinks_without_routes_get_everything_that_is_told_by_default(read: Load) -> None:
    text = "sinks: {a: {type: webhook, url: http://a/}}\nchecks: [{name: a, probe: http, url: http://a/}]\n"
    assert read(text).routes == (Route(("a",), ALWAYS),)
    assert read(text + "routes: []").routes == ()


def test_for_each_value(read: Load) -> None:
    config = read(
        """
        checks:
          - name: "{{ each.name }} page"
            probe: http
            url: https://{{ each.host }}/
            expect: "{{ each.expect }}"
            for_each:
              - {name: shop, host: shop.example.com, expect: {status: 200}}
              - {name: docs, host: docs.example.com, expect: {status: [200, 301]}}
        """
    )
    assert list(config.checks) == ["shop page", "docs page"]
    docs = config.checks["docs page"].probe
    assert isinstance(docs, Http)
    assert (docs.url, docs.expect.status) == ("https://docs.example.com/", (200, 301))


def test_for_each_combination(read: Load) -> None:
    config = read(
        """
        checks:
          - {name: "{{region}}{{ path }}", probe: http, url: "https://{{ region }}.example.com{{ path }}",
             for_each: {region: [fra, nyc], path: [/, /login]}}
        """
    )
    assert list(config.checks) == ["fra/", "fra/login", "nyc/", "nyc/login"]


def test_braces_mean_nothing_without_for_each(read: Load) -> None:
    config = read("checks: [{name: a, probe: http, url: http://a/, body: '{{ each }}'}]")
    assert config.checks["a"].probe == Http(url="http://a/", body="{{ each }}")


def test_anchors_are_read(read: Load) -> None:
    config = read(
        """
        checks:
          - {name: a, probe: http, url: http://a/, expect: &fine {status: 200}}
          - {name: b, probe: http, url: http://a/, expect: *fine}
        """
    )
    assert config.checks["a"].probe == config.checks["b"].probe


def test_a_directory_of_files_is_merged_in_the_order_of_names(read: Load) -> None:
    config = read(
        "sinks: {a: {type: webhook, url: http://a/}}\nchecks: [{name: a, probe: http, url: http://a/}]",
        b="checks: [{name: b, service: shop, probe: http, url: http://a/}]\nroutes: [{to: [a, c]}]",
        a="services: {shop: {}}\nsinks: {c: {type: webhook, url: http://a/}}\n"
        "checks: [{name: c, service: shop, probe: http, url: http://a/, depends_on: a}]",
    )
    assert list(config.checks) == ["a", "c", "b"]
    assert list(config.sinks) == ["a", "c"]
    assert config.routes == (Route(("a", "c")),)
