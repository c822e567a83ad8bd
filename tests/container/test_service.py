"""The Debian package in a booted machine: installed, started, reloaded, hung, upgraded in place, removed, purged.

One story, in order, as one test: its steps share the machine, and tests may be handed to several workers.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.container import memory, packages, upgrading
from tests.container.nspawn import Machine, booted, missing
from tests.container.upgrading import opened

HERE = missing()
REQUIRED = os.environ.get("BROWNOUT_CONTAINER") == "required"
pytestmark = [
    pytest.mark.skipif(HERE is not None and not REQUIRED, reason=HERE or ""),
    pytest.mark.timeout(480),
]

RECEIVER = """
import http.server, json
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with open("/run/events", "a") as file:
            print(event["type"], self.headers["webhook-id"], file=file, flush=True)
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()
"""

CHECKS = """
sinks:
  hook: {type: webhook, url: "http://127.0.0.1:9000/", secret: {credential: hook}}
checks:
  - {name: shop, probe: tcp, address: "127.0.0.1:8000", every: 1s}
  - {name: machine, probe: host, every: 2s, defaults: "off"}
  - {name: logind, probe: process, program: systemd-logind, every: 2s}
  - {name: ping, probe: exec, command: [/bin/ping, -c1, 127.0.0.1], every: 2s, timeout: 2s}
  - {name: units, probe: systemd, units: [dbus.service], every: 2s}
  - {name: requests, probe: error_rate, log: /var/log/shop/access.log, every: 2s, traffic: sporadic}
  - {name: complaints, probe: error_rate, journald: receiver.service, every: 2s, traffic: sporadic}
  - {name: at home, probe: error_rate, log: /home/app/log, format: lines, bad: ERROR, every: 2s, traffic: sporadic}
routes: [{to: [hook]}]
"""


@dataclass(frozen=True)
class Versions:
    """The folder with `older.deb`, `brownout.deb` and `newer.deb`, and the schema of the newest one's journal."""

    folder: Path
    schema: int


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    folder, work = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("deb")
    package = Path(shutil.copy(packages.built(work), folder / "brownout.deb"))
    packages.older(package, folder, work)
    return Versions(folder, packages.newer(package, folder, work))


@pytest.fixture(scope="module")
def machine(versions: Versions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    assert HERE is None, HERE
    with booted(versions.folder, tmp_path_factory.mktemp("console") / "log") as machine:
        yield machine


def a_fresh_install_starts_without_any_secret(machine: Machine) -> None:
    machine.do("dpkg --install /root/packages/older.deb")
    # Type=notify: `start` has waited for READY=1, and only that brings the status text.
    assert machine.show("ActiveState") == "active"
    assert machine.show("StatusText").startswith("watching 1 check")
    assert machine.do("systemctl is-enabled brownout") == "enabled"
    assert machine.do("ls -A /etc/brownout/secrets") == ""
    owners = machine.do("cd /etc/brownout && stat -c '%a %U %G %n' . checks.yaml secrets").splitlines()
    assert owners == ["750 root brownout .", "640 root brownout checks.yaml", "700 root root secrets"]
    assert machine.do("stat -c '%a %U' /var/lib/private/brownout") == "700 brownout"
    rights = machine.do(f"grep -E 'CapBnd|NoNewPrivs' /proc/{machine.show('MainPID')}/status").split()
    assert rights == ["CapBnd:", "0000000000000000", "NoNewPrivs:", "1"]
    machine.until(lambda: machine.check("health").get("state") == "up", "the first check to be up")


def the_sandbox_hides_the_machine_until_a_drop_in_opens_it(machine: Machine) -> None:
    machine.write("/root/receiver.py", RECEIVER)
    machine.do("systemd-run --unit=receiver python3 /root/receiver.py")
    machine.do(
        """
        mkdir /var/log/shop /home/app && echo started > /home/app/log
        install -m 640 -g adm /dev/null /var/log/shop/access.log
        """
    )
    machine.do("umask 077; echo whsec_dGhlIGtleSBvZiB0aGUgY29udGFpbmVy > /etc/brownout/secrets/hook")
    machine.write("/etc/brownout/checks.yaml", CHECKS)
    machine.do("systemctl restart brownout")
    machine.until(lambda: machine.check("machine").get("last") is not None, "a look at the machine")
    assert "memory_used" not in machine.check("machine")["last"]["measurements"]
    machine.until(lambda: reason(machine, "logind") == "denied", "others' processes")
    machine.until(lambda: machine.check("units").get("state") == "up", "systemd is asked without any drop-in")

    machine.until(lambda: reason(machine, "requests") == "denied", "a log of the group adm")
    machine.until(lambda: reason(machine, "complaints") == "denied", "the journal of others")
    machine.until(lambda: reason(machine, "at home") == "denied", "a closed /home")

    closed = machine.do("cat /proc/sys/net/ipv4/ping_group_range").split()
    told = machine.do("brownout install --with home,host,exec,logs,journald --with ping")
    assert "10-host.conf: made" in told
    assert "run: systemctl daemon-reload" in told
    assert closed == ["1", "0"]
    assert machine.do("cat /proc/sys/net/ipv4/ping_group_range").split() == ["0", "2147483647"]
    assert machine.do("brownout install --with home,host,exec,logs,journald,ping").endswith("Nothing has changed.")
    machine.do("systemctl restart brownout")
    machine.until(lambda: machine.check("ping").get("state") == "up", "ping without CAP_NET_RAW")
    machine.until(lambda: machine.check("logind").get("state") == "up", "others' processes are seen")
    machine.until(lambda: "cpu" in measured(machine, "machine"), "/proc/stat is seen")
    for name in ("requests", "complaints", "at home"):
        machine.until(lambda name=name: machine.check(name).get("state") == "up", f"{name} to be read")
    line = '192.0.2.1 - - [01/Mar/2026:12:00:00 +0000] "GET / HTTP/1.1" 503 9 "-" "-"'
    both = f"echo '{line}' >> /var/log/shop/access.log; echo ERROR >> /home/app/log"
    for name in ("requests", "at home"):
        machine.until(lambda name=name: counts(machine, name, both), f"the lines that {name} has got")


def reason(machine: Machine, name: str) -> str | None:
    return (machine.check(name).get("last") or {}).get("reason")


def measured(machine: Machine, name: str) -> dict[str, Any]:
    """By the last look; nothing before the first one since the start."""
    found: dict[str, Any] = (machine.check(name).get("last") or {}).get("measurements", {})
    return found


def counts(machine: Machine, name: str, script: str) -> bool:
    """Whether the last look has counted bad requests; `script` makes more, for the next."""
    machine.do(script)
    return measured(machine, name).get("bad_requests", {}).get("value", 0) > 0


def a_hung_agent_is_killed_by_the_watchdog_and_goes_on_where_it_was(machine: Machine) -> None:
    machine.until(lambda: len(opened(machine)) == 1, "the incident of the shop to be told")
    machine.until(lambda: bool(machine.status().get("incidents")), "it to be shown: an answer may be a second old")
    before = machine.status()["incidents"]
    machine.do(
        textwrap.dedent("""
        mkdir -p /run/systemd/system/brownout.service.d
        printf '[Service]\\nWatchdogSec=2\\nRestartSec=100ms\\n' > /run/systemd/system/brownout.service.d/test.conf
        systemctl daemon-reload && systemctl restart brownout
    """)
    )
    main = machine.show("MainPID")
    machine.do(f"kill -STOP {main}")
    machine.until(
        lambda: machine.show("NRestarts") == "1" and machine.show("ActiveState") == "active", "the watchdog"
    )
    assert machine.show("MainPID") != main
    assert "Watchdog timeout" in machine.do("journalctl -u brownout -o cat")
    machine.until(lambda: machine.check("shop").get("state") == "down", "the state as it was")
    machine.until(lambda: machine.check("machine").get("state") == "up", "looks after the restart")
    assert [each["id"] for each in machine.status()["incidents"]] == [each["id"] for each in before]
    assert len(opened(machine)) == 1, "told once"
    machine.do("rm /run/systemd/system/brownout.service.d/test.conf && systemctl daemon-reload")


def a_reload_is_answered_and_a_bad_file_leaves_the_old_one(machine: Machine) -> None:
    main, shop = machine.show("MainPID"), machine.check("shop")
    machine.write("/etc/brownout/checks.yaml", CHECKS.replace("name: units,", "name: bus,"))
    machine.do("systemctl reload brownout")
    machine.until(lambda: machine.check("bus").get("state") == "up", "the check with another name")
    assert machine.check("units") == {}
    assert machine.check("shop")["since"] == shop["since"], "what did not change goes on"
    machine.write("/etc/brownout/checks.yaml", CHECKS + "bogus: 1\n")
    machine.do("systemctl reload brownout")
    machine.until(lambda: "refused" in machine.show("StatusText"), "the refusal")
    assert machine.show("ActiveState") == "active"
    assert machine.show("MainPID") == main
    assert "bogus" in machine.do("journalctl -u brownout -o cat | grep config_fault")
    machine.write("/etc/brownout/checks.yaml", CHECKS)
    machine.do("systemctl reload brownout")
    machine.until(lambda: machine.show("StatusText") == "watching 8 checks", "the good one again")
    assert len(opened(machine)) == 1, "told once"


def stopping_is_quick_and_clean(machine: Machine) -> None:
    machine.do("systemctl stop brownout")
    assert machine.show("Result") == "success"
    machine.do("systemctl start brownout")


def removing_leaves_state_and_purging_forgets_it(machine: Machine) -> None:
    machine.do("dpkg --remove brownout")
    assert machine.do("pgrep -f 'brownout ru[n]' || echo none") == "none"
    assert machine.do("ls /var/lib/private/brownout/brownout.db /etc/brownout/checks.yaml /etc/brownout/secrets/hook")
    assert machine.do("test -e /usr/lib/brownout || echo gone") == "gone"
    machine.do("echo TOKEN=secret > /etc/brownout/environment; dpkg --purge brownout")
    left = machine.do(
        "find / -xdev -path /proc -prune -o -name '*brownout*' ! -path '/root/*' ! -path '/run/*' -print"
    )
    assert left == ""


@pytest.mark.early
def test_the_package_in_a_booted_machine(machine: Machine, versions: Versions) -> None:
    a_fresh_install_starts_without_any_secret(machine)
    the_sandbox_hides_the_machine_until_a_drop_in_opens_it(machine)
    a_hung_agent_is_killed_by_the_watchdog_and_goes_on_where_it_was(machine)
    a_reload_is_answered_and_a_bad_file_leaves_the_old_one(machine)
    memory.a_leak_is_ended_and_the_agent_goes_on_where_it_was(machine, CHECKS)
    memory.a_plug_in_that_takes_all_memory_ends_alone(machine, CHECKS)
    memory.remove_greedy(machine, CHECKS)
    upgrading.an_upgrade_restarts_it_once_and_keeps_what_is_the_admins(machine)
    upgrading.the_way_back_from_a_newer_version_is_a_backup(machine, versions.schema)
    stopping_is_quick_and_clean(machine)
    removing_leaves_state_and_purging_forgets_it(machine)
