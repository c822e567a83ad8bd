"""Steps of the story: the unit's limit of memory, reached."""

from __future__ import annotations

from pathlib import Path

from tests.container.nspawn import Machine

PACKAGES = "/usr/lib/brownout/lib/python3*/site-packages"
GREEDY = "  - {name: greedy, probe: greedy, every: 1s}\n"
GLUTTON = "  - {name: glutton, probe: exec, command: [/usr/bin/python3, -c, \"x = b'x' * 2**31\"], every: 5s}\n"


def a_leak_is_ended_and_the_agent_goes_on_where_it_was(machine: Machine, checks: str) -> None:
    add_greedy(machine, checks)
    if not machine.divides_memory():
        print("this kernel does not let a container limit memory: MemoryMax= is not tried")
        return
    machine.until(lambda: machine.check("greedy").get("state") == "up", "the plug-in")
    before, events, main = machine.status(), machine.do("cat /run/events"), machine.show("MainPID")
    assert machine.show("MemoryMax") == str(2**30)
    machine.do(f"echo {main} > /run/greedy")
    machine.until(lambda: machine.show("MainPID") not in (main, "0"), "the end of it")
    machine.until(lambda: machine.check("greedy").get("last") is not None, "looks after the restart")
    assert machine.show("NRestarts") == "1"
    assert "code=killed, status=9/KILL" in machine.do("journalctl -u brownout -o cat")
    after = machine.status()
    assert states(after) == states(before), "a restart is no news"
    assert after["incidents"] == before["incidents"]
    assert machine.do("cat /run/events") == events, "nobody was told"


def a_plug_in_that_takes_all_memory_ends_alone(machine: Machine, checks: str) -> None:
    main, events = machine.show("MainPID"), machine.do("cat /run/events")
    machine.write("/etc/brownout/checks.yaml", checks.replace("routes:", f"{GLUTTON}routes:"))
    machine.do("systemctl reload brownout")

    def ended() -> bool:
        """A look may be late instead, on a machine that is busy with it."""
        return (machine.check("glutton").get("last") or {}).get("reason") == "plugin_unknown"

    machine.until(ended, "the plug-in's end", 60)
    assert machine.show("MainPID") == main
    assert machine.do("cat /run/events") == events, "nobody was told"


def add_greedy(machine: Machine, checks: str) -> None:
    machine.write("/root/greedy.py", Path(__file__).with_name("greedy.py").read_text())
    machine.do(
        f"""
        cd {PACKAGES} && cp /root/greedy.py . && mkdir greedy-1.dist-info && cd greedy-1.dist-info
        printf 'Metadata-Version: 2.1\\nName: greedy\\nVersion: 1\\n' > METADATA
        printf '[brownout.probes]\\ngreedy = greedy:Greedy\\n' > entry_points.txt
        """
    )
    machine.write("/etc/brownout/checks.yaml", checks.replace("routes:", f"{GREEDY}routes:"))


def remove_greedy(machine: Machine, checks: str) -> None:
    machine.write("/etc/brownout/checks.yaml", checks)
    machine.do(f"systemctl stop brownout; cd {PACKAGES} && rm -rf greedy.py greedy-1.dist-info")
    machine.do("systemctl start brownout")


def states(status: dict[str, object]) -> dict[str, object]:
    return {check["name"]: (check["state"], check["since"]) for check in status["checks"]}
