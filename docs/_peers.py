"""What curl and blackbox_exporter say of the servers of `tests.servers.misbehaving`: the real programs, set up by
somebody who means well by them."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import daemon, find, free_port, listens
from tests.servers.authority import Authority
from tests.servers.misbehaving import CASES, Case, Names, Site
from tests.servers.misbehaving.naming import SHOP
from tests.servers.misbehaving.places import Place

_ERRORS = {
    1: "unsupported protocol",
    6: "no such name",
    7: "cannot connect",
    8: "weird reply",
    18: "partial file",
    22: "HTTP error",
    23: "write error",
    27: "out of memory",
    28: "time is up",
    35: "TLS handshake",
    47: "too many redirects",
    52: "empty reply",
    55: "cannot send",
    56: "cannot receive",
    60: "certificate",
    61: "bad coding",
}
"""Exit codes of curl(1), in a word or two."""
_SECONDS_MORE = 5.0
"""For those who do not end when their time is up: then they are given up."""


@dataclass(frozen=True, slots=True)
class Said:
    """`up`, `down`, `hangs` if it says nothing seconds after its limit, `none` where it cannot be asked; and why, in
    a few words of its own."""

    verdict: str
    detail: str = ""

    def differs(self, case: Case) -> bool:
        """Whether it is another verdict than ours."""
        return self.verdict not in (case.verdict, "none")


HANGS = Said("hangs")


@dataclass(frozen=True, slots=True)
class Inside:
    """Where programs run: `prefix` stands before their commands, and `call` calls a function in that place."""

    call: Callable[..., Any]
    prefix: tuple[str, ...] = ()


def curl(case: Case, place: Place, authority: Authority, inside: Inside) -> Said:
    """`curl --fail --location --compressed`; an expected body is looked for in what it writes. Raises `Absent`."""
    if not place.url:
        return Said("none")
    fields = _fields(case)
    command = [
        *inside.prefix, find("curl", "curl"), "-q", "--silent", "--fail", "--location", "--max-redirs", "5",
        "--compressed", "--noproxy", "*", "--max-time", f"{case.limit}", "--cacert", authority.file,
        "--write-out", "%{stderr}%{exitcode}",
    ]  # fmt: skip
    if "body" in fields:
        command += ["--data-binary", "@-", "--header", "Expect:"]
    expected = fields["expect"].body if "expect" in fields else None
    if expected is None:
        command += ["--output", "/dev/null"]
    data = fields.get("body", "").encode()
    try:
        done = _run([*command, place.url], data, case.limit + _SECONDS_MORE)
    except subprocess.TimeoutExpired:
        return HANGS
    if done.returncode:
        return Said("down", f"{done.returncode}: {_ERRORS[done.returncode]}")
    if expected is not None and not re.search(expected.encode(), done.stdout):
        return Said("down", "not the body")
    return Said("up")


def _run(command: list[str], data: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=data, capture_output=True, timeout=seconds, check=False)  # noqa: S603


def _fields(case: Case) -> Mapping[str, Any]:
    return case.server.fields if isinstance(case.server, Site) else {}


# --- blackbox_exporter --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Blackbox:
    """One that runs, with a module for each case."""

    port: int
    inside: Inside

    def __call__(self, case: Case, place: Place) -> Said:
        asked = urllib.parse.urlencode(
            {"target": place.url or place.address, "module": _module_name(case), "debug": "true"}
        )
        url = f"http://127.0.0.1:{self.port}/probe?{asked}"
        try:
            text = self.inside.call(_get, url, case.limit + _SECONDS_MORE)
        except TimeoutError:
            return HANGS
        if re.search(r"^probe_success 1$", text, re.MULTILINE):
            return Said("up")
        return Said("down", _complaint(text))


@contextmanager
def blackbox(folder: Path, authority: Authority, inside: Inside) -> Iterator[Blackbox]:
    """Raises `Absent` where it is not installed."""
    program = find("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    port = free_port()
    config = folder / "blackbox.yml"
    config.write_text(json.dumps({"modules": {_module_name(case): _module(case, authority) for case in CASES}}))
    command = [*inside.prefix, program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
    with daemon(command, folder, lambda: inside.call(listens, port)):
        yield Blackbox(port, inside)


def _get(url: str, seconds: float) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=seconds) as answer:
        return str(answer.read().decode("utf-8", "replace"))


def _module_name(case: Case) -> str:
    return f"case-{CASES.index(case)}"


def _module(case: Case, authority: Authority) -> dict[str, Any]:
    """Set up so that it sees as much as it can: it reads as far as we do, and is told which compression will come."""
    if isinstance(case.server, Names) and case.server.itself:
        matches = {"fail_if_none_matches_regexp": [r".*\tA\t127\.0\.0\.1"]}
        asked = {"query_name": SHOP, "query_type": "A", "validate_answer_rrs": matches, "transport_protocol": "udp"}
        return {"prober": "dns", "timeout": f"{case.limit}s", "dns": asked}
    fields = _fields(case)
    http: dict[str, Any] = {
        "method": fields.get("method", "GET"),
        "body_size_limit": "2MB",
        "preferred_ip_protocol": "ip4",
        "tls_config": {"ca_file": authority.file},
    }
    if "body" in fields:
        http["body"] = fields["body"]
    if "expect" in fields:
        http["fail_if_body_not_matches_regexp"] = [fields["expect"].body]
    coding = _coding_of(case)
    if coding in ("gzip", "br", "deflate"):
        http |= {"compression": coding, "headers": {"Accept-Encoding": coding}}
    return {"prober": "http", "timeout": f"{case.limit}s", "http": http}


def _coding_of(case: Case) -> str:
    if not isinstance(case.server, Site):
        return ""
    sent = b"".join(step for step in case.server.script if isinstance(step, bytes))
    found = re.search(rb"\r\nContent-Encoding: ([^\r]+)", sent)
    return found[1].decode() if found else ""


_NO_MORE = '"Probe failed"'
_NEEDLESS = (
    r'^(Get|Post) "[^"]*": ',
    r"(net/http: )?HTTP/1.x transport connection broken: ",
    r": current time .*",
    r" on 127\.53\.\d+\.\d+:53",
    r" [\d.:]+->[\d.]+:\d+:",
    r"(?<=\d):\d+(?=:)",
)
"""What is another text each time, or says nothing."""


def _complaint(text: str) -> str:
    """The last thing that it complains of in its own log, without what is another one each time."""
    told = ""
    for line in text.partition("Metrics that would")[0].splitlines():
        words = dict(re.findall(r'\b(level|msg|err)=("(?:\\.|[^"\\])*"|\S+)', line))
        said = words.get("err", words.get("msg", "") if words.get("level") == "error" else "")
        if said and said != _NO_MORE:
            told = json.loads(said) if said.startswith('"') else said
    for needless in _NEEDLESS:
        told = re.sub(needless, "", told)
    return told.strip().encode("ascii", "backslashreplace").decode()
