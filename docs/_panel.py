"""Brownout, curl and blackbox_exporter, all of them for real, before the same servers: the cases of
`tests.servers.misbehaving`, with name servers and a network of their own."""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from typing import Any

from docs._peers import Blackbox, Inside, Said, blackbox, curl
from probes._names.resolv_conf import resolv_conf
from probes._names.stub_resolver import StubResolver
from probes._tls.contexts import SharedTls
from probes.contract import Context, Observation, Reason
from tests.faults.name_server import ADDRESS, asking_it
from tests.servers import find
from tests.servers.authority import Authority, authority
from tests.servers.misbehaving import Case, Network
from tests.servers.misbehaving.places import Place, place_of, probe_of
from tests.servers.namespace import namespace

_PATIENCE = 20
"""Looks that a busy machine may void, one after another."""


@dataclass(frozen=True, slots=True)
class Row:
    """What each of them says of a case."""

    case: Case
    ours: str
    curl: Said
    blackbox: Said

    @property
    def differ(self) -> bool:
        """Whether somebody comes to another verdict than we do."""
        return any(said.differs(self.case) for said in (self.curl, self.blackbox))


@dataclass(frozen=True, slots=True)
class Panel:
    """All three, ready to be asked: in this network with this machine's resolver, with one of ours, and in a network
    of its own."""

    authority: Authority
    here: Blackbox
    named: Blackbox
    apart: Blackbox

    def ask(self, case: Case) -> Row:
        with place_of(case, self.authority, (ADDRESS, 53)) as place:
            asked = self.apart if isinstance(case.server, Network) else self.named if place.resolver else self.here
            ours = asked.inside.call(_look, case, place, self.authority)
            return Row(case, ours, curl(case, place, self.authority, asked.inside), asked(case, place))


@contextmanager
def panel(folder: Path) -> Iterator[Panel]:
    """Raises `Absent` where one of them is not installed, or namespaces are not for us."""
    with ExitStack() as stack:
        made = authority(_made(folder / "ca"))
        inside = stack.enter_context(namespace())
        thread = inside.submit(threading.get_native_id).result()
        network = ("nsenter", f"--net=/proc/{getpid()}/task/{thread}/ns/net", "--")
        places = {
            "here": Inside(_at_once),
            "named": Inside(_at_once, asking_it(_made(folder / "resolver"))),
            "apart": Inside(lambda function, *given: inside.submit(function, *given).result(), network),
        }
        running = {
            name: stack.enter_context(blackbox(_made(folder / name), made, place)) for name, place in places.items()
        }
        yield Panel(made, **running)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _at_once(function: Callable[..., Any], *given: Any) -> Any:
    return function(*given)


def _look(case: Case, place: Place, made: Authority) -> str:
    """What Brownout says: `up`, or the reason."""
    return asyncio.run(_looked(case, place, made))


async def _looked(case: Case, place: Place, made: Authority) -> str:
    resolver = StubResolver((place.resolver,) if place.resolver else (), 0.0, resolv_conf("/dev/null"))
    probe = probe_of(case, place, made)
    context = Context(case.limit, resolver, SharedTls(), {}, trace=place.trace)
    try:
        for _ in range(_PATIENCE):
            seen: Observation = await probe.look(context)
            if seen.reason is not Reason.LATE:
                break
    finally:
        resolver.close()
    return seen.reason.value if seen.reason is not None else "up"


def versions() -> tuple[str, str]:
    """Of curl and of blackbox_exporter."""
    told = [
        subprocess.run([find(program, program), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
        for program in ("curl", "prometheus-blackbox-exporter")
    ]
    found = [re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr) for done in told]
    first, second = (match[0] if match else "" for match in found)
    return first, second
