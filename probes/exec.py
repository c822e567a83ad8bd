"""Runs a program and takes its exit code for what it says: any Nagios or Icinga plug-in."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from time import perf_counter
from typing import Annotated, ClassVar

from probes._clean import Cleaner
from probes._look import Look, failed
from probes._system.child import Child
from probes._system.hang import Hung
from probes._system.perfdata import Figure, name_of, read_output
from probes._system.spawn import PATH, CannotStart, Ended, Endless, clean_environment, run
from probes.contract import (
    BadField,
    Context,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    Secret,
    Unit,
    check_fields,
)

_PLUGINS = "/usr/lib/nagios/plugins:/usr/lib64/nagios/plugins:/usr/lib/monitoring-plugins:/usr/local/libexec/nagios"
_TO_END = 0.5
"""Seconds of a look's limit that are kept for ending a plug-in that does not end by itself."""
_SHOWN = 8
"""Figures shown in the evidence, of those that are not declared."""
_SECRET_OPTIONS = ("pass", "pwd", "secret", "token", "key", "auth", "community", "credential")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
"""A variable that a shell sets for a program, before its name."""
_NAMED_STATE = {0: "OK", 1: "WARNING", 2: "CRITICAL"}


@dataclass(frozen=True, slots=True)
class Exec(Probe):
    """Runs a Nagios or Icinga plug-in, or any program that ends with 0, 1, 2 or 3 as they do.

    ```yaml
    checks:
      - name: load
        probe: exec
        command: [/usr/lib/nagios/plugins/check_load, -w, "5,4,3", -c, "10,6,4"]
        every: 60s
        perfdata: {load1: count}
        degraded: load1(10m) > 4
    ```

    The exit code is the measurement `plugin_state`: 0 is OK, 1 a warning, 2 critical. With 3, with any other code, or
    when it was killed by a signal or cannot be run at all, the look cannot tell (`plugin_unknown`): nobody is paged,
    and when that lasts the check is `unknown`. A plug-in that does not end in time fails the look (`plugin_timeout`):
    mostly its target hangs. The first line that it prints is in the evidence.

    Performance data that is named in `perfdata` becomes measurements, for thresholds of your own: the label, as the
    plug-in prints it, and what it counts in (seconds, bytes, ratio, count, ...). `ms`, `%`, `KB` and the like are
    converted; a kB is 1,024 bytes, as plug-ins count. A counter (unit `c`) is for `rate(errors, 5m) > 1/s`, which
    knows about restarts. In thresholds a label that is no name is made one: lower case, `_` for all else, so
    `'/var used'` is `var_used`; `/` alone is `root`: `perfdata: {/: bytes}` goes with `degraded: root > 9GB`. Other
    figures are shown in the evidence only.

    The program is started without a shell. `shell: true` hands one text to /bin/sh, with pipes and all that can go
    wrong there. A name without `/` is looked for in the usual folders and in those of the plug-ins. Nothing comes in
    on its stdin. It sees a short environment: PATH, LC_ALL=C.UTF-8, HOME, USER, LOGNAME, TZ, TMPDIR, XDG_RUNTIME_DIR,
    and what `env` adds. None of the agent's own variables, which may hold secrets. Write passwords into `env`, or
    into a file that the plug-in reads: all users of the machine can read a running command's arguments.

    Default thresholds:

    - degraded `plugin_state >= 1`, down `plugin_state >= 2`: that is what the plug-in says, with the limits that you
      gave it. As with every threshold two looks in a row settle it, which is Nagios' soft and hard state; there is no
      `for`, as the interval says how long that takes. Use `down: plugin_state >= 2 for 3 of 5` with `defaults: off`
      for a plug-in that flaps.

    Limits: 64 KiB of output are read, 512 figures, and a program that writes more than 8 MiB is stopped. No more than
    32 programs run at a time. At its limit, which is half a second before the look's, it and all of its session get
    SIGTERM, and SIGKILL 0.15 s later; so does what holds its output 0.25 s after it has ended. What left the session
    (`setsid`) escapes, until the agent's service ends. In the service's sandbox a plug-in can no more than the agent:
    no sudo, no setuid, no writing outside its folder; `brownout install --with exec` opens what most need, and `ping`
    what ICMP does. A process that sleeps in the kernel cannot
    be ended: then the check starts no other until it wakes up.
    """

    kind: ClassVar[str] = "exec"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("plugin_state", Unit.COUNT, "The exit code: 0 is OK, 1 a warning, 2 critical."),
        Measurement(
            "run_time", Unit.SECONDS, "From the start of the program to its end.", cut_by=Reason.PLUGIN_TIMEOUT
        ),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": ("plugin_state >= 1",),
        "down": ("plugin_state >= 2",),
    }

    command: Annotated[tuple[str, ...], "The program and its arguments, as a list; one text with `shell: true`."] = (
        field(repr=False)
    )
    shell: Annotated[bool, "Hand the command to /bin/sh, for pipes and the like."] = False
    env: Annotated[Mapping[str, Secret], "Variables of its environment; their values are kept secret."] = field(
        default_factory=dict
    )
    folder: Annotated[str, "The folder it runs in: an absolute path."] = "/"
    nice: Annotated[int, "How much it stands back from others for CPU: 0 to 19."] = 0
    perfdata: Annotated[
        Mapping[str, Unit], "Performance data that thresholds may speak of: what it counts in, by its label."
    ] = field(default_factory=dict)
    _measured: tuple[Measurement, ...] = field(init=False, repr=False, compare=False)
    _cleaner: Cleaner = field(init=False, repr=False, compare=False)
    _running: list[Child] = field(default_factory=list, init=False, repr=False, compare=False)
    """What was started and has not been reaped: a process that sleeps in the kernel stays here."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "_cleaner", Cleaner((*_secret_arguments(self.command), *self._environment_secrets()))
        )
        object.__setattr__(self, "_measured", self.measurements)
        check_fields(
            self._check_command, self._check_folder, self._check_nice, self._check_env, self._name_measurements
        )

    def _environment_secrets(self) -> tuple[str, ...]:
        return tuple(value.reveal() for value in self.env.values())

    def _check_command(self) -> None:
        if not self.command or not self.command[0].strip():
            raise BadField("command", "is empty: write the program and its arguments, such as [check_load, -w, 5]")
        if self.shell and len(self.command) > 1:
            raise BadField("command", "is a list: with shell: true write it as one text")
        if not self.shell and len(self.command) == 1 and any(letter.isspace() for letter in self.command[0]):
            raise BadField(
                "command", "is one text with blanks: write a list such as [check_load, -w, 5], or add shell: true"
            )
        if any("\0" in part for part in self.command):
            raise BadField("command", "holds a NUL character, which no argument can")

    def _check_folder(self) -> None:
        if not self.folder.startswith("/"):
            raise BadField("folder", f"{self.folder!r} is not an absolute path such as /var/lib")

    def _check_nice(self) -> None:
        if not 0 <= self.nice <= 19:
            raise BadField("nice", f"{self.nice} is out of range: write 0 to 19")

    def _check_env(self) -> None:
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name or "\0" in value.reveal():
                raise BadField("env", f"{name!r} cannot be a variable of an environment")

    def _name_measurements(self) -> None:
        labels = {measurement.name: "the probe's own" for measurement in self.measurements}
        measured = list(self.measurements)
        for label, unit in self.perfdata.items():
            name = name_of(label)
            if not name:
                raise BadField("perfdata", f"{label!r} has no letter or digit to make a name of")
            if name in labels:
                raise BadField("perfdata", f"{label!r} would be called {name}, as {labels[name]} is")
            labels[name] = repr(label)
            measured.append(Measurement(name, unit, f"The plug-in's figure {label}."))
        object.__setattr__(self, "_measured", tuple(measured))

    @property
    def measured(self) -> tuple[Measurement, ...]:
        return self._measured

    @property
    def target(self) -> str:
        """The program's name alone: arguments may hold passwords."""
        program = self.command[0]
        if self.shell:  # PGPASSWORD=... may stand before it
            program = next((word for word in program.split() if not _ASSIGNMENT.match(word)), "sh")
        return self._cleaner(program.rpartition("/")[2] or program)

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._cleaner, context.redact)
        figures: dict[str, float] = {}
        try:
            ended = await self._run(look)
            figures["run_time"] = perf_counter() - look.started - look.phases["start"]
            look.spend("run", figures["run_time"])
            look.check_clocks()
            self._read(look, ended, figures)
        except LookFailed as failure:
            if failure.reason is Reason.PLUGIN_TIMEOUT:
                figures["run_time"] = max(look.timeout, perf_counter() - look.started)
            return failed(look, failure, figures, elapsed="run_time")
        finally:
            look.close()
        return Observation(figures, None, "", look.phases, look.evidence)

    async def _run(self, look: Look) -> Ended:
        self._running[:] = [child for child in self._running if child.code is None]
        if any(child.stuck for child in self._running):
            raise LookFailed(
                Reason.PLUGIN_TIMEOUT, "the plug-in of an earlier look sleeps in the kernel and cannot be ended"
            )
        limit = max(look.timeout - _TO_END, look.timeout / 2)

        def started(child: Child) -> None:
            self._running.append(child)
            look.spend("start", perf_counter() - look.started)  # with what it waited for others

        try:
            return await run(
                ("/bin/sh", "-c", *self.command) if self.shell else self.command,
                timeout=limit,
                environment=clean_environment(
                    f"{PATH}:{_PLUGINS}", **{name: value.reveal() for name, value in self.env.items()}
                ),
                folder=self.folder,
                nice=self.nice,
                started=started,
            )
        except TimeoutError:
            raise LookFailed(Reason.PLUGIN_TIMEOUT, f"no end within {limit:g} s") from None
        except Hung:
            raise LookFailed(Reason.HUNG, "the disk that holds the plug-in does not answer") from None
        except (CannotStart, Endless) as error:
            raise LookFailed(Reason.PLUGIN_UNKNOWN, look.show(str(error))) from None

    def _read(self, look: Look, ended: Ended, figures: dict[str, float]) -> None:
        """What it printed and how it ended. Raises `LookFailed` where that says nothing."""
        output = read_output(ended.output.decode("utf-8", "replace"))
        look.evidence["output"] = look.show(output.text) or "(nothing)"
        if ended.left_behind:
            look.evidence["left_behind"] = "processes that held its output were ended"
        if ended.code not in _NAMED_STATE:
            self._show_trouble(look, ended, output.more)
            said = look.evidence.get("errors") or look.evidence["output"]  # complaints go to stderr
            raise LookFailed(Reason.PLUGIN_UNKNOWN, _why(ended.code, said))
        if ended.code:
            self._show_trouble(look, ended, output.more)
        figures["plugin_state"] = float(ended.code)
        look.evidence["state"] = _NAMED_STATE[ended.code]
        self._measure(look, output.figures, figures)

    def _show_trouble(self, look: Look, ended: Ended, more: str) -> None:
        if shown := look.show(more, cut=ended.cut):  # what was dropped may have begun within a secret
            look.evidence["more"] = shown
        if ended.errors.strip():
            look.evidence["errors"] = look.show(ended.errors.decode("utf-8", "replace").strip())

    def _measure(self, look: Look, found: tuple[Figure, ...], figures: dict[str, float]) -> None:
        others, unfit = [], []
        for figure in found:
            unit = self.perfdata.get(figure.label)
            if unit is None:
                others.append(figure)
            elif figure.value is not None:
                if not _fits(figure, unit):
                    unfit.append(f"{figure.label} is in {figure.written}, not {unit.value}")
                else:
                    figures[name_of(figure.label)] = figure.value
        missing = self.perfdata.keys() - {figure.label for figure in found}
        if others:
            look.evidence["perfdata"] = look.show(" ".join(map(_shown, others[:_SHOWN])))
        if unfit or missing:
            unfit += [f"{label} was not printed" for label in sorted(missing)]
            look.evidence["not_measured"] = look.show("; ".join(unfit[:_SHOWN]))


def _secret_arguments(command: tuple[str, ...]) -> tuple[str, ...]:
    """Arguments that are passwords by the option they follow: ``--password=x``, ``-p x`` is anybody's guess."""
    found = []
    parts = [word for part in command for word in part.split()] if len(command) == 1 else command
    for option, following in zip_longest(parts, parts[1:], fillvalue=""):
        name, sign, value = option.partition("=")
        is_assignment = sign and len(command) == 1 and _ASSIGNMENT.match(option)
        if (name.startswith("-") or is_assignment) and any(word in name.lower() for word in _SECRET_OPTIONS):
            found.append((value if sign else following).strip("\"'"))
    return tuple(found)


def _why(code: int, text: str) -> str:
    if code == 3:
        return f"it says that it cannot tell: {text}"
    if code < 0:
        try:
            return f"it was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"it was killed by signal {-code}"
    return f"it ended with {code}, which is no state of a plug-in (0 to 3): {text}"


def _fits(figure: Figure, unit: Unit) -> bool:
    if figure.counter:
        return unit in (Unit.COUNT, Unit.BYTES, Unit.SECONDS)
    return figure.unit is None or figure.unit is unit


def _shown(figure: Figure) -> str:
    if figure.value is None:
        return f"{figure.label}=U"
    written = (
        figure.written
        if figure.unit is None or figure.counter
        else {Unit.SECONDS: "s", Unit.BYTES: "B"}.get(figure.unit, "")
    )
    return f"{figure.label}={figure.value:.6g}{written}"
