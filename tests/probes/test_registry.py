"""Kinds of probe: found by themselves, and clear about what is wrong with a stranger's."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from probes.contract import BadField, Context, Observation, Probe
from probes.registry import BadPlugin, builtin, optional, probes, with_plugins


@dataclass(frozen=True, slots=True)
class Other(Probe):
    kind = "http"
    measurements = ()

    @property
    def target(self) -> str:
        return "nothing"

    async def look(self, context: Context) -> Observation:
        return Observation()


@dataclass(frozen=True, slots=True)
class Mine(Other):
    kind = "mine"


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "brownout.probes")


def test_built_in_kinds() -> None:
    assert {"http", "tcp", "host", "queue"} <= builtin().keys()
    assert {kind: probe.kind for kind, probe in builtin().items()} == {kind: kind for kind in builtin()}
    assert probes().items() >= builtin().items()
    assert "contract" not in builtin()
    with pytest.raises(KeyError):
        builtin()["contract"]


def test_strangers_come_after_ours_and_ours_may_be_announced_too() -> None:
    found = with_plugins(["http", "tcp"], [_point("mine", f"{__name__}:Mine"), _point("tcp", "probes.tcp:Tcp")])
    assert (list(found), len(found), found["mine"]) == (["http", "tcp", "mine"], 3, Mine)


def test_a_kind_is_there_once() -> None:
    with pytest.raises(BadPlugin, match=r"two probes of kind 'http': probes\.http\.Http and .*test_registry\.Other"):
        with_plugins(builtin(), [_point("http", f"{__name__}:Other")])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x", "no_such_module:X", r"no_such_module:X: probe 'x' cannot be loaded: ModuleNotFoundError"),
        ("x", f"{__name__}:pytest", "is not a Probe with a kind"),
        ("x", f"{__name__}:Other", "called 'x', but the probe's kind is 'http'"),
    ],
)
def test_broken_plugins_are_named(name: str, value: str, message: str) -> None:
    with pytest.raises(BadPlugin, match=message):
        with_plugins({}, [_point(name, value)])


def test_a_missing_optional_dependency_says_how_to_mend_it() -> None:
    with pytest.raises(BadField, match=r"needs no_such_module: pip install brownout\[postgres\]"):
        optional("no_such_module", "postgres")
    assert optional("json", "x").__name__ == "json"
