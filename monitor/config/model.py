"""The finished configuration: frozen values, with every default resolved and every reference checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from monitor.config.deeds import Action
from monitor.config.redact import Redactor
from monitor.core.history import Retention
from monitor.core.maintenance import Window
from monitor.core.model import Check, Service
from monitor.core.rota import Person, Rota
from monitor.core.routing import Route, Step
from monitor.hooks import Hook
from monitor.sinks.contract import Sink
from monitor.tokens import Token
from probes.contract import ResolverWanted, Secret


@dataclass(frozen=True, slots=True)
class Listen:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where the agent looks from. `reference` addresses tell "is it me or is it them?"."""

    name: str
    reference: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """How many looks may be under way at once, in all and at one host: scheduled ones, and as many extra ones."""

    looks: int = 500
    looks_per_host: int = 8


class Switch(StrEnum):
    """The kinds of dead man's switches that the agent can hold: each has a way of its own to be told."""

    HEALTHCHECKS = "healthchecks"
    BETTERSTACK = "betterstack"
    HONEYBADGER = "honeybadger"
    URL = "url"


@dataclass(frozen=True, slots=True)
class Ping:
    """One of them. The URLs are secrets: who knows them can speak in the agent's place."""

    switch: Switch
    url: Secret
    fail_url: Secret | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    every: timedelta
    pings: tuple[Ping, ...]


@dataclass(frozen=True, slots=True)
class AgentSettings:
    listen: Listen
    state_dir: Path
    vantage: Vantage
    limits: Limits
    resolver: ResolverWanted = field(default_factory=ResolverWanted)
    history: Retention = field(default_factory=Retention)
    public_url: str | None = None
    """Where people reach the agent's page: the base of links in events."""
    public: Listen | None = None
    """Where the public page is served, apart from everything else."""
    tokens: tuple[Token, ...] = ()
    hooks: tuple[Hook, ...] = ()
    """What GitHub, GitLab, PagerDuty and Slack may send."""
    protected: bool = False
    """Whether reading needs a token, too."""
    heartbeat: Heartbeat | None = None
    """Whom the agent tells that it is alive."""
    actions: bool = True
    """Whether actions are taken at all."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Where shifts are fetched, how often, and in which zone its whole days are."""

    url: Secret
    refresh: timedelta
    zone: str


@dataclass(frozen=True, slots=True)
class Oncall:
    """The rotas, and the calendars of those that have one, both by name."""

    rotas: Mapping[str, Rota] = field(default_factory=dict)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Escalating:
    """Who is told `at_once`, and who later."""

    at_once: tuple[str, ...] = ()
    later: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    path: Path
    agent: AgentSettings
    checks: Mapping[str, Check]
    """By id, in the order of the file; disabled checks are left out."""
    services: Mapping[str, Service]
    sinks: Mapping[str, Sink]
    routes: tuple[Route, ...]
    disabled: int
    redactor: Redactor
    maintenance: tuple[Window, ...] = ()
    people: Mapping[str, Person] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    oncall: Oncall = field(default_factory=Oncall)
    actions: Mapping[str, Action] = field(default_factory=dict)
    escalations: Mapping[str, Escalating] = field(default_factory=dict)
    """As written; a route has the steps of the one that it names."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong, and where: ``checks.yaml:17:5: checks[1].degraded: unknown measurement ...``."""

    file: str
    line: int
    """From 1; 0 when no line can be named."""
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"

    def cleaned(self, clean: Callable[[str], str]) -> Fault:
        """Without what `clean` takes out of a text."""
        return replace(self, path=clean(self.path), message=clean(self.message))

    def as_json(self) -> dict[str, str | int]:
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
        }


class ConfigError(Exception):
    """The faults of a configuration, in the order of files and lines."""

    def __init__(self, faults: tuple[Fault, ...], more: int = 0) -> None:
        """`more` is how many there are beyond those that were kept."""
        count = len(faults) + more
        super().__init__(f"{count} fault{'s' if count != 1 else ''} in the configuration")
        self.faults = faults
        self.more = more


DEFAULT_EVERY = timedelta(seconds=30)
DEFAULT_TIMEOUT = timedelta(seconds=10)
