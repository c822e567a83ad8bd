"""Goes through a site as a customer does: several HTTP steps, one look, each step timed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ClassVar
from urllib.parse import quote, urlencode

from probes._capture import NAME, PLACEHOLDER, Capture, filled, placeholders
from probes._clean import Cleaner, sent
from probes._http import url as _url
from probes._http.cookies import Cookies
from probes._http.exchange import Ask, check_written, fetch, note_excerpt
from probes._http.expect import Expect, compiled, kept_of
from probes._http.http1 import ResponseReader, check_method
from probes._look import TIMEOUTS, Look, failed
from probes.contract import (
    BadField,
    ByteSize,
    Context,
    FilePath,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    Secret,
    TlsWanted,
    Unit,
    check_fields,
)

_MOST_STEPS = 20
_MAX_BYTES = ByteSize(2_000_000)
_IN_AUTHORITY = re.compile(r"[a-zA-Z]+://[^/?#]*%\{")
_FORM = ("Content-Type", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """One request and what its answer must be."""

    name: Annotated[str, "What the step is called, and its time: `login` is measured as `login_time`."]
    url: Annotated[str, "What to ask for; `%{name}` stands for a captured value."]
    method: Annotated[str | None, "The request's method; none: POST with a body or a form, else GET."] = None
    headers: Annotated[Mapping[str, Secret], "Headers to send, `%{name}` filled in; never shown."] = field(
        default_factory=dict
    )
    body: Annotated[str | None, "The request's body, `%{name}` filled in as it is."] = None
    form: Annotated[Mapping[str, Secret], "The fields of a form to send, `%{name}` filled in; never shown."] = field(
        default_factory=dict
    )
    expect: Annotated[Expect, "What the answer must be."] = field(default_factory=Expect)
    capture: Annotated[Mapping[str, Capture], "What to take from the answer, by the name to use later."] = field(
        default_factory=dict
    )
    follow: Annotated[int, "How many redirects to follow; 0: the redirect itself is the answer."] = 5

    def __post_init__(self) -> None:
        check_fields(
            self._check_name,
            self._check_url,
            self._check_method,
            self._check_body,
            *(
                partial(check_written, name, PLACEHOLDER.sub("x", value.reveal()))
                for name, value in self.headers.items()
            ),
            *(partial(_check_captured, name) for name in self.capture),
        )

    def _check_name(self) -> None:
        if not NAME.fullmatch(self.name) or self.name == "response":
            raise BadField("name", f"{self.name!r} cannot name a step: write a-z, 0-9 and _, such as log_in")

    def _check_url(self) -> None:
        if PLACEHOLDER.fullmatch(self.url):
            return
        if _IN_AUTHORITY.match(self.url):
            raise BadField("url", "a captured value cannot name the host: write it in the path or the query")
        try:
            _url.parse(PLACEHOLDER.sub("x", self.url))
        except ValueError as error:
            raise BadField("url", str(error)) from None

    def _check_method(self) -> None:
        if self.method is not None:
            try:
                check_method(self.method)
            except ValueError as error:
                raise BadField("method", str(error)) from None
        if self.follow < 0:
            raise BadField("follow", "write 0 to follow no redirects, or how many")

    def _check_body(self) -> None:
        if self.body is not None and self.form:
            raise BadField("form", "write either body or form")

    def wanted(self) -> set[str]:
        """The captured values that this step needs."""
        texts = [self.url, self.body or ""]
        texts += [value.reveal() for value in (*self.headers.values(), *self.form.values())]
        return {name for text in texts for name in placeholders(text)}

    def secrets(self) -> list[str]:
        """What must not come back in evidence."""
        known = sent(value.reveal() for value in (*self.headers.values(), *self.form.values()))
        return known + (self.written.secrets if self.written is not None else [])

    @property
    def written(self) -> _url.Url | None:
        """The URL as far as it is known before the journey; None when a captured link is followed."""
        return None if PLACEHOLDER.fullmatch(self.url) else _url.parse(PLACEHOLDER.sub("x", self.url))


@dataclass(frozen=True, slots=True, repr=False)
class Journey(Probe):
    """Takes several steps through a site in one look, as a customer would: log in, search, put into the basket.

    The steps share their cookies. What one step captures from its answer (a token, an order number, a link) later
    ones put into their URL, headers, body or form, as `%{name}`. The first step that fails ends the look, with the
    reason that the probe `http` would give and the name of the step.

    ```yaml
    checks:
      - name: log in
        probe: journey
        steps:
          - name: form
            url: https://shop.example.com/login
            capture:
              token: {body: 'name="csrf" value="([^"]+)"'}
          - name: submit
            url: https://shop.example.com/login
            form: {user: probe, password: "${PROBE_PASSWORD}", csrf: "%{token}"}
            expect: {body: "Welcome back"}
          - name: orders
            url: https://shop.example.com/api/orders
            expect: {json: "$.orders"}
        every: 1m
        timeout: 20s
        degraded: p95(submit_time, 15m) > 2s
    ```

    Times: `NAME_time` is the step's time after name resolution, its redirects included; `response_time` is their sum.
    A look that timed out reports a `response_time` of at least its timeout. Of a journey that failed the steps before
    the failure are measured.

    Default thresholds: `certificate_expires_in < 14d` is degraded, for the reasons that the probe `http` gives. None
    makes a check down: a step that fails makes the look fail, and how slow is too slow is yours to say.

    Limits: at most 20 steps, one after the other, each on a connection of its own, all within the check's `timeout`.
    No JavaScript is run. A captured link is followed only to a host that some step names in writing, so that a page
    cannot send your passwords elsewhere. Captured values are at most 4096 characters, and are shown nowhere.
    """

    kind: ClassVar[str] = "journey"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "response_time", Unit.SECONDS, "All steps, without name resolution.", cut_by=Reason.TRANSFER_TIMEOUT
        ),
        Measurement("steps_done", Unit.COUNT, "Steps that went well."),
        Measurement("certificate_expires_in", Unit.SECONDS, "Until the first of the certificates ends."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("certificate_expires_in < 14d",)}

    steps: Annotated[tuple[Step, ...], "The steps, in order."]
    max_bytes: Annotated[ByteSize, "The largest body to read; more makes the look fail."] = _MAX_BYTES
    verify: Annotated[bool, "Whether certificates must be trusted and for their names."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None
    _hosts: tuple[_url.Url, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(self._check_number, self._check_names, self._check_captures)
        object.__setattr__(self, "_hosts", tuple(step.written for step in self.steps if step.written is not None))

    def _check_number(self) -> None:
        if not 1 <= len(self.steps) <= _MOST_STEPS:
            raise BadField("steps", f"write from 1 to {_MOST_STEPS} steps")
        if self.steps[0].written is None:
            raise BadField("steps.0.url", "nothing has been captured yet: write a URL")
        if self.max_bytes < 1:
            raise BadField("max_bytes", "write at least 1B")

    def _check_names(self) -> None:
        names = [step.name for step in self.steps]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise BadField(f"steps.{index}.name", f"two steps are called {name!r}: rename one")

    def _check_captures(self) -> None:
        known: set[str] = set()
        for index, step in enumerate(self.steps):
            unknown = sorted(step.wanted() - known)
            if unknown:
                raise BadField(f"steps.{index}", f"%{{{unknown[0]}}} is captured by no step before this one")
            known |= step.capture.keys()

    def __repr__(self) -> str:
        return f"Journey({self.target})"

    @property
    def target(self) -> str:
        number = f"{len(self.steps)} steps" if len(self.steps) > 1 else "1 step"
        return f"{number} from {self._hosts[0].shown}"

    @property
    def host(self) -> str | None:
        return self._hosts[0].host

    @property
    def measured(self) -> tuple[Measurement, ...]:
        return self.measurements + tuple(
            Measurement(
                f"{step.name}_time",
                Unit.SECONDS,
                f"The step {step.name}, without name resolution.",
                cut_by=Reason.TRANSFER_TIMEOUT,
            )
            for step in self.steps
        )

    async def look(self, context: Context) -> Observation:
        own = Cleaner(secret for step in self.steps for secret in step.secrets())
        look = Look(context.timeout, own, context.redact)
        walk = _Walk(self, look, context)
        try:
            for step in self.steps:
                await walk.take(step)
            look.check_clocks()
            walk.figures["response_time"] = sum(walk.times.values())
        except LookFailed as failure:
            look.phases = walk.times
            if failure.reason in TIMEOUTS:
                walk.figures[f"{walk.step}_time"] = walk.times[walk.step]
            own = look.own or own
            for name, text in look.evidence.items():
                look.evidence[name] = own(text)
            return failed(look, LookFailed(failure.reason, own(f"step {walk.step}: {failure.detail}")), walk.figures)
        finally:
            look.close()
        return Observation(walk.figures, None, "", walk.times, look.evidence)


class _Walk:
    """One look on its way through the steps."""

    def __init__(self, journey: Journey, look: Look, context: Context) -> None:
        self._journey = journey
        self._look = look
        self._context = context
        self._cookies = Cookies()
        self._values: dict[str, str] = {}
        self.figures: dict[str, float] = {"steps_done": 0.0}
        self.times: dict[str, float] = {}
        self.step = ""

    async def take(self, step: Step) -> None:
        self.step = step.name
        self._look.phases.clear()
        expectation, answer = compiled(step.expect), None
        try:
            answer = await fetch(self._look, self._context, self._ask(step), self.figures, self._cookies)
            await expectation.check(answer, self._look)
            await self._capture(step, answer)
        except LookFailed:
            if answer is not None:
                note_excerpt(self._look, answer)
            raise
        finally:
            phases = self._look.phases
            self.times[step.name] = sum(phases.values()) - phases.get("resolve", 0.0)
        self.figures[f"{step.name}_time"] = self.times[step.name]
        self.figures["steps_done"] += 1
        self._look.evidence.clear()  # of a step that went well

    async def _capture(self, step: Step, answer: ResponseReader) -> None:
        for name, capture in step.capture.items():
            self._values[name] = value = await capture.take(name, answer, self._look)
            self._look.learn(value)

    def _ask(self, step: Step) -> Ask:
        expectation = compiled(step.expect)
        keep = kept_of(expectation, self._journey.max_bytes)
        if any(capture.reads_body for capture in step.capture.values()):
            keep = self._journey.max_bytes
        headers = [(name, filled(value.reveal(), self._values)) for name, value in step.headers.items()]
        body = filled(step.body, self._values).encode() if step.body is not None else None
        if step.form:
            fields = {name: filled(value.reveal(), self._values) for name, value in step.form.items()}
            body = urlencode(fields).encode()
            if all(name.lower() != "content-type" for name, _ in headers):
                headers.append(_FORM)
        try:
            return Ask(
                url=self._where(step),
                method=step.method or ("GET" if body is None else "POST"),
                written=headers,
                body=body,
                follow=step.follow,
                final=expectation.statuses,
                max_bytes=self._journey.max_bytes,
                keep=keep,
                server_name=None,
                tls=TlsWanted(self._journey.verify, self._journey.ca_file),
                compression=True,
            )
        except ValueError as error:
            raise LookFailed(Reason.BODY, f"a captured value cannot be sent: {error}") from error

    def _where(self, step: Step) -> _url.Url:
        if step.written is not None:
            return _url.parse(filled(step.url, self._values, lambda value: quote(value, safe="")))
        # Only a captured link is without a written URL, so there was an answer before.
        base = self._cookies.last or self._journey._hosts[0]  # noqa: SLF001  (the walk is a part of the journey)
        link = filled(step.url, self._values)
        try:
            found = _url.join(base, link)
        except ValueError as error:
            raise LookFailed(Reason.REDIRECT, f"the captured link cannot be followed: {error}") from error
        if not any(written.trusts(found) for written in self._journey._hosts):  # noqa: SLF001  (as above)
            raise LookFailed(Reason.REDIRECT, "the captured link leads to a host that no step names")
        return found


def _check_captured(name: str) -> None:
    if not NAME.fullmatch(name):
        raise BadField(f"capture.{name}", "a captured value's name is of a-z, 0-9 and _, such as order_id")
