"""The generated parts that list what the code declares: probes, sinks, reasons, commands, figures."""

from __future__ import annotations

import argparse
import inspect
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import groupby
from pathlib import Path

from docs._markdown import code, fenced, sentence, table
from docs.keys import own_keys
from monitor.cli import EXIT_CODES, _parser
from monitor.config.kinds import names_measurements
from monitor.config.units import format_duration
from monitor.core import baseline, failures, judge, patience, series, slices, slowness, threshold
from monitor.core.model import Confirm, Recover
from monitor.outbox import Pace
from monitor.sinks.contract import Nature
from monitor.sinks.registry import sinks
from monitor.store.contract import Keep
from monitor.writer import FLUSH_EVERY, RETRY_COMMIT
from probes.contract import Unit
from probes.reasons import Blame, Reason
from probes.registry import builtin, driver_note


def probes_part() -> str:
    rows = [
        (
            f"[`{kind}`](probes/{kind}.md)",
            _first_sentence(probe),
            code(f"brownout[{probe.extra}]") if probe.extra else "",
        )
        for kind, probe in builtin().items()
    ]
    return table(("Kind", "What it looks at", "Needs"), rows)


def _needed(extra: str | None) -> str:
    return code(f"pip install brownout[{extra}]") if extra else ""


def _first_sentence(cls: type) -> str:
    return " ".join(_manual(cls).partition("\n\n")[0].split())


def probe_page(kind: str) -> str:
    """The whole page of one kind of probe."""
    probe = builtin()[kind]
    rows = [
        (code(item.name), _unit(item.unit), item.help + (" A ratio of sums." if item.ratio_of else ""))
        for item in probe.measurements
    ]
    thresholds = [f"- {level}: {code(text)}" for level, texts in probe.thresholds.items() for text in texts]
    needs = [driver_note(probe.extra)] if probe.extra else []
    chapters = [part for title, text in probe.chapters.items() for part in (f"## {title}", inspect.cleandoc(text))]
    named = [] if not names_measurements(probe) else ["A check's own keys name more measurements: see above."]
    return (
        "\n\n".join(
            (
                f"<!-- generated from the probe's docstring and fields: `make docs` -->\n\n# {kind}",
                _manual(probe),
                *needs,
                "## Keys",
                "Besides those [of every check](../configuration.md#checks):",
                own_keys(probe),
                "## Measurements",
                *([table(("Name", "Unit", "What it is"), rows)] if rows else []),
                *named,
                "## Default thresholds",
                "\n".join(thresholds) if thresholds else "None.",
                *chapters,
            )
        ).rstrip()
        + "\n"
    )


def _unit(unit: Unit) -> str:
    return {
        Unit.SECONDS: "seconds, written `800ms`, `5m`",
        Unit.RATIO: "ratio, written `1%`",
        Unit.BYTES: "bytes, written `20MiB`",
        Unit.COUNT: "count, written `50`",
        Unit.PER_SECOND: "a second, written `3/s`",
        Unit.BYTES_PER_SECOND: "bytes a second, written `20MiB/s`",
    }[unit]


def sinks_part() -> str:
    rows = [
        (
            f"[`{kind}`](sinks/{kind}.md)",
            _first_sentence(sink),
            f"*{sink.nature.value}*",
            code(f"brownout[{sink.extra}]") if sink.extra else "",
        )
        for kind, sink in sorted(sinks().items())
    ]
    return table(("Kind", "What it does", "Nature", "Needs"), rows)


_NATURES = {
    Nature.LOG: "*log*: it gets every event, in order",
    Nature.LEVEL: "*level*: it gets the present state; an older one that was never attempted is left out",
    Nature.HUMAN: "*human*: it gets the first at once, and a storm behind it gathered",
}


def sink_page(kind: str) -> str:
    """The whole page of one kind of sink."""
    sink = sinks()[kind]
    needs = [f"Needs {code(f'pip install brownout[{sink.extra}]')}."] if sink.extra else []
    return (
        "\n\n".join(
            (
                f"<!-- generated from the sink's docstring and fields: `make docs` -->\n\n# {kind}",
                _manual(sink),
                *needs,
                f"Nature: {_NATURES[sink.nature]}.",
                "## Keys",
                "Besides those [of every sink](../configuration.md#sinks):",
                own_keys(sink),
            )
        ).rstrip()
        + "\n"
    )


def _manual(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def reasons_part() -> str:
    titles = {
        Blame.TARGET: "The target's trouble: it can make a check down or degraded",
        Blame.CANNOT_TELL: "Cannot tell: never evidence for or against the target",
        Blame.US: "Our own trouble: never evidence for or against the target",
    }
    parts = []
    for blame, title in titles.items():
        rows = [(code(r.value), sentence(r.meaning), sentence(r.advice)) for r in Reason if r.blame is blame]
        parts += [f"## {title}", table(("Reason", "Meaning", "What to do"), rows)]
    return "\n\n".join(parts)


def subcommands() -> Mapping[str, argparse.ArgumentParser]:
    """Every command of the command line, by name."""
    actions = _parser()._actions  # noqa: SLF001  (argparse has no other way to its subparsers)
    found = next(action for action in actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    return dict(found.choices)


def cli_part() -> str:
    rows = [(f"[`{name}`](#{name})", command.description or "") for name, command in subcommands().items()]
    parts = [table(("Command", "What it does"), rows), *map(_command, subcommands()), "## Exit codes"]
    return "\n\n".join((*parts, fenced("text", EXIT_CODES)))


def _command(name: str) -> str:
    command = subcommands()[name]
    words, rows = [f"brownout {name}"], []
    for action in command._actions:  # noqa: SLF001  (as above)
        shown = action.option_strings[-1] if action.option_strings else str(action.metavar)
        if shown == "--help":
            continue
        value = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
        optional = bool(action.option_strings) or action.nargs in ("?", "*")
        words.append(f"[{shown}{value}]" if optional else shown)
        told = (action.help or "").replace("%(default)s", str(action.default))
        rows.append((code(shown + value), sentence(told)))
    parts = [f"## {name}", command.description or "", fenced("text", " ".join(words))]
    return "\n\n".join([*parts, table(("Argument", "Meaning"), rows)] if rows else parts)


def drop_ins_part() -> str:
    """What each drop-in's own comment says."""
    rows = []
    for path in sorted((Path(__file__).parent.parent / "systemd" / "drop-ins").glob("*.conf")):
        comment = " ".join(
            line.lstrip("# ") for line in path.read_text("utf-8").partition("[Service]")[0].splitlines()
        )
        told = re.fullmatch(r"\w+: (.+) Opens: (.+) Why: (.+) Exposure: \S+ -> (\S+)", comment.strip())
        if told is None:
            raise ValueError(f"{path.name}: for what, Opens, Why and Exposure, in this order")
        rows.append((code(path.stem), *(each[0].upper() + each[1:] for each in told.groups())))
    return table(("`--with`", "For", "What it opens", "Why", "Exposure"), rows)


# --- figures --------------------------------------------------------------------------------------------------


def judging_part() -> str:
    confirm, recover = Confirm(), Recover()
    burst = ", ".join(f"{offset:g}" for offset in failures.BURST)
    runs = math.ceil(failures._ALARM / failures._FAILURE_STEP)  # noqa: SLF001  (the docs tell what it is)
    most, adopted = slowness.EXTRA_LOOKS, slowness.ADOPTED_AFTER
    rows = [
        ("Failed looks in a row that call a check down", str(confirm.looks)),
        ("... and the time they must span at least", format_duration(confirm.span)),
        ("Extra looks after a first failure, in seconds", burst),
        ("Extra looks after that, until it is settled", f"every {failures.PACE:g} s"),
        ("Time limit of an extra look", f"{patience.EXTRA_TIMEOUT:g} s, or 3 times a slow good look if longer"),
        ("Separate failures that call it degraded", f"{runs}, with few good looks between"),
        ("Good looks in a row after which it is no longer down", str(failures._LOOKS_TO_LEAVE_DOWN)),  # noqa: SLF001
        ("Good looks until it is up", f"about {recover.looks}, one every {format_duration(recover.every)}"),
        ("Looks in a row that cannot tell until `unknown`", f"{judge.BLIND_LOOKS}, over at least one interval"),
        ("Looks that settle a threshold without window or `for`", f"{threshold.SETTLE_LOOKS} in a row"),
        ("Looks an aggregate needs before it says anything", f"{threshold.FEWEST_SAMPLES}, or all the window holds"),
        ("Looks until something is known to be usual", f"{baseline.FEWEST_LOOKS}, and those of an hour"),
        ("The least that is slower than usual, however steady", f"{slowness.LEAST:g} times as long"),
        ("What is far above usual", f"{slowness.FAR:g} times as long"),
        ("Extra looks while it seems slower than usual", f"every {slowness.PACE:g} s, at most {most} an interval"),
        ("Good looks until it is no longer slower than usual", f"up to {slowness.RECOVERY_LOOKS}"),
        ("What was slower than usual is usual itself", f"after {format_duration(timedelta(seconds=adopted))}"),
        (
            "Samples that a window keeps one by one",
            f"{series.SAMPLES_LIMIT}; of more, a histogram in {slices.SLICES} slices",
        ),
    ]
    return table(("What", "Default"), rows)


def delivery_part() -> str:
    pace, keep = Pace(), Keep()
    runs = [(format_duration(timedelta(seconds=wait)), len(list(same))) for wait, same in groupby(pace.backoff)]
    waits = ", ".join(wait if times == 1 else f"{times} times {wait}" for wait, times in runs)
    days = sum(pace.backoff) / 86400
    rows = [
        ("Waits after the first, second, ... failed attempt", waits),
        ("Added to each wait, at random", f"up to {pace.jitter:.0%}"),
        ("Attempts until a dead letter", str(len(pace.backoff) + 1)),
        ("All of them together take", f"about {days:.1f} to {days * (1 + pace.jitter):.1f} days"),
        ("Longest that one attempt may take", f"{pace.send_timeout:g} s"),
        ("Streams that are sent to one sink at the same time", str(pace.streams)),
        ("Events kept", f"{keep.events:,}, besides those that are still owed"),
        ("Dead letters kept", f"{keep.dead:,}"),
        ("Transitions kept", f"all; of the newest {keep.evidence:,} also what the look saw"),
        ("Resolved incidents kept", f"{keep.incidents:,}"),
        ("What checks remember is written", f"every {FLUSH_EVERY:g} s"),
        ("A commit that failed is tried again", f"every {RETRY_COMMIT:g} s"),
    ]
    return table(("What", "Figure"), rows)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "probes": probes_part,
    "sinks": sinks_part,
    "reasons": reasons_part,
    "commands": cli_part,
    "drop-ins": drop_ins_part,
    "judging": judging_part,
    "delivery": delivery_part,
}
