"""Faults of whole configurations: all at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.load import ConfigError, load
from monitor.kinds import installed_kinds
from tests.config.conftest import Load


def said(error: pytest.ExceptionInfo[ConfigError]) -> list[str]:
    return [f"{Path(fault.file).name}:{str(fault).removeprefix(fault.file)[1:]}" for fault in error.value.faults]


def test_faults_of_all_files_come_at_once_each_with_its_file(read: Load) -> None:
    with pytest.raises(ConfigError) as error:
        read(
            "sinks: {a: {type: webhook, url: http://a/}}\nchecks: [{name: a, probe: http, ulr: http://a/}]",
            a="agent: {}\nsinks: {a: {type: webhook, url: http://a/}}\nchecks: [{name: a, probe: http, url: http://a/}]",
            b="checks: [",
        )
    main, advice = error.value.faults[0].file, "check the indentation, the quotes and the brackets here"
    assert said(error) == [
        'checks.yaml:2:10: checks[0]: "url" is missing',
        'checks.yaml:2:33: checks[0]: unknown key "ulr" (did you mean url?)',
        "a.yaml:1:1: agent belongs into the main file, not into checks.d/",
        f'a.yaml:2:9: sinks: duplicate sink "a": it is defined at {main}:1 already',
        f'a.yaml:3:11: checks[0].name: duplicate name "a": the check at {main}:2 has it already',
        f"b.yaml:2:1: broken YAML: did not find expected node content: {advice}",
    ]


def test_every_phase_reports(read: Load) -> None:
    with pytest.raises(ConfigError) as error:
        read(
            """
agent: {listen: 9788, lissten: 1}
defaults: {every: 30}
sinks: {chat: {type: slak}}
services: {shop: {outage: any of hme}}
checks:
  - {name: home, service: shop, probe: http, url: ftp://a/, every: 10ms, degraded: respone_time > 1s,
     depends_on: apo}
  - {name: api, service: shpo, probe: htpt}
routes:
  - {when: impact = outrage, to: [chta], tp: 1}
"""
        )
    assert [text.split(": ", 1)[1] for text in said(error)] == [
        'agent.listen: "9788" is not an address: write host:port, such as 127.0.0.1:9788',
        'agent: unknown key "lissten" (did you mean listen?)',
        'defaults.every: "30" has no unit: write 30s (or 30ms, 30m, 30h)',
        'sinks.chat.type: unknown sink type "slak" (did you mean slack?)',
        'services.shop.outage: unknown check "hme" (did you mean home?)',
        'checks[0].url: "ftp://a/" must begin with http:// or https://',
        "checks[0].every: must be at least 100ms",
        'checks[0].degraded: unknown measurement "respone_time" (did you mean response_time?)',
        'checks[0].depends_on: unknown check "apo" (did you mean api?)',
        'checks[1].service: unknown service "shpo" (did you mean shop?)',
        'checks[1].probe: unknown probe "htpt" (did you mean http?)',
        'routes[0].when: unknown impact "outrage" (did you mean outage?)',
        'routes[0].to[0]: unknown sink "chta" (did you mean chat?)',
        'routes[0]: unknown key "tp": known are when, to, during, quiet, escalate, remind',
    ]


def test_a_fault_hides_no_other_of_its_probe(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text("""
checks:
  - name: home
    probe: http
    url: https://shop.example.com/
    max_bytes: 2
    proxy: 127.0.0.1:3128
    expect: {statsu: 200, body: "["}
  - {name: ns, probe: dns, query: example.com, type: MXX, server: "a:99999", expect: {rcode: NOPE}}
  - {name: mail, probe: tcp, address: mail.example.com, starttls: smpt}
""")
    with pytest.raises(ConfigError) as error:
        load(path, kinds=installed_kinds(), env={})
    assert [fault.path for fault in error.value.faults] == [
        "checks[0].max_bytes",
        "checks[0].proxy",
        "checks[0].expect",
        "checks[0].expect.body",
        "checks[1].type",
        "checks[1].server",
        "checks[1].expect.rcode",
        "checks[2].address",
        "checks[2].starttls",
    ]
