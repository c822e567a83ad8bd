"""A checks.yaml whose agent looks at targets of the test and tells a receiver of the test, at a test's pace."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.rig import Receiver

QUICK = """\
  every: 500ms
  timeout: 500ms
  confirm: {policy: consecutive, looks: 3, span: 500ms}
  recover: {looks: 8, every: 100ms}
  flapping: off
"""
"""Trouble is confirmed half a second after its first sign, and its end within one second."""

CALM = QUICK.replace("every: 500ms\n  timeout: 500ms", "every: 1s\n  timeout: 1s")
"""The same with fewer looks, for many checks."""

_FILE = """\
agent:
  listen: {listen}
  state_dir: state
  vantage: {{name: test{vantage}}}
{agent}defaults:
{pace}sinks:
  hook: {{type: webhook, url: "{hook}", secret: "${{HOOK_SECRET}}"}}
{services}checks:
{checks}routes:
  - {{to: [hook]}}
  - {{when: event = check.changed, to: [hook]}}
"""

_HOME = """\
  - name: {name}
    probe: http
    url: {url}
    expect: {{status: 200}}
"""


def page(name: str, url: str, more: str = "") -> str:
    """A check of a web page that must answer 200; `more` are further lines of it."""
    return _HOME.format(name=name, url=url) + more


def write_checks(
    folder: Path,
    receiver: Receiver,
    *checks: str,
    listen: str = "127.0.0.1:0",
    pace: str = QUICK,
    services: str = "",
    agent: str = "",
    vantage: str = "",
) -> Path:
    """The file in `folder`; its journal will be in ``folder/state``. `pace`: lines of `defaults`; `services`: the
    whole block; `agent`: further lines of that block; `vantage`: further keys of the vantage."""
    file = folder / "checks.yaml"
    file.write_text(
        _FILE.format(
            listen=listen,
            agent=agent,
            vantage=vantage,
            pace=pace,
            hook=receiver.url,
            services=services,
            checks="".join(checks),
        )
    )
    return file


def tell_also(file: Path, **sinks: str) -> None:
    """Add sinks to a file of `write_checks`, by name the fields of each; they are told of incidents, too."""
    added = "".join(f"  {name}: {{{fields}}}\n" for name, fields in sinks.items())
    text = file.read_text("utf-8").replace("sinks:\n", f"sinks:\n{added}", 1)
    file.write_text(text.replace("- {to: [hook]}", f"- {{to: [{', '.join(['hook', *sinks])}]}}"), "utf-8")
