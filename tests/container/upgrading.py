"""Steps of the story: to the next version, and back."""

from __future__ import annotations

from tests.container.nspawn import Machine
from tests.container.packages import OLDER

STATE = "/var/lib/brownout"


def opened(machine: Machine) -> list[str]:
    """The ids of the incidents' openings that were told."""
    lines = machine.do("cat /run/events 2>/dev/null || true").splitlines()
    return [line.split()[1] for line in lines if line.startswith("incident.opened")]


def starts(machine: Machine) -> int:
    """How often systemd has started the agent."""
    return int(machine.do("journalctl -u brownout -o cat | grep -c '^Started '"))


def an_upgrade_restarts_it_once_and_keeps_what_is_the_admins(machine: Machine) -> None:
    assert machine.do("brownout --version") == f"brownout {OLDER}"
    assert machine.show("WatchdogUSec") == "29s"
    main, before, incidents = machine.show("MainPID"), starts(machine), machine.status()["incidents"]
    # The package's checks.yaml is another one than the older package's, and the admin has edited it: without a word
    # dpkg would ask, and nobody is there to answer.
    machine.do("dpkg --force-confold --install /root/packages/brownout.deb")
    assert machine.show("ActiveState") == "active"
    assert machine.show("MainPID") != main
    assert starts(machine) == before + 1
    assert machine.show("NRestarts") == "0"
    assert machine.show("WatchdogUSec") == "30s", "the unit is the new one"
    assert machine.do("brownout --version") != f"brownout {OLDER}"
    assert "127.0.0.1:9000" in machine.do("cat /etc/brownout/checks.yaml")
    assert "What Brownout watches" in machine.do("cat /etc/brownout/checks.yaml.dpkg-dist")
    assert machine.do("ls /etc/brownout/secrets") == "hook"
    assert "10-host.conf" in machine.show("DropInPaths")
    machine.until(lambda: machine.check("shop").get("state") == "down", "the state as it was")
    assert [each["id"] for each in machine.status()["incidents"]] == [each["id"] for each in incidents]
    assert len(opened(machine)) == 1, "told once"


def the_way_back_from_a_newer_version_is_a_backup(machine: Machine, schema: int) -> None:
    backup = f"{STATE}/journal-before-schema-{schema:03}.db"
    incidents = machine.status()["incidents"]
    machine.do("dpkg --install /root/packages/newer.deb")
    machine.until(lambda: machine.check("shop").get("state") == "down", "the state in the newer version")
    machine.do(f"test -s {backup}")
    # Back: the older one refuses what it does not know, says so, and leaves it alone.
    machine.do("dpkg --install /root/packages/brownout.deb")
    machine.until(
        lambda: "was written by a newer Brownout" in machine.do("journalctl -u brownout -p err -o cat"), "the refusal"
    )
    assert machine.show("ExecMainStatus") == "2"
    told = machine.do("journalctl -u brownout -o cat | grep 'written by a newer'").splitlines()[-1]
    assert f"(schema {schema}, this one knows " in told
    assert f"brownout restore {backup} --state-dir {STATE}" in told, "what it tells can be run"
    machine.do("systemctl stop brownout")
    restored = machine.do(f"brownout restore {backup} --state-dir {STATE}")
    assert "journal-before-restore.db" in restored
    machine.do("systemctl start brownout")
    machine.until(lambda: machine.check("shop").get("state") == "down", "the state of the backup")
    machine.until(lambda: machine.check("machine").get("state") == "up", "looks after the restart")
    assert [each["id"] for each in machine.status()["incidents"]] == [each["id"] for each in incidents]
    assert len(opened(machine)) == 1, "told once"
