"""The finished configuration: frozen values, with every default resolved and every reference checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from monitor.config.redact import Redactor
from monitor.core.history import Retention
from monitor.core.maintenance import Window
from monitor.core.model import Check, Service
from monitor.core.routing import Route
from monitor.sinks.contract import Sink
from monitor.tokens import Token


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


@dataclass(frozen=True, slots=True)
class AgentSettings:
    listen: Listen
    state_dir: Path
    vantage: Vantage
    limits: Limits
    history: Retention = field(default_factory=Retention)
    public_url: str | None = None
    """Where people reach the agent's page: the base of links in events."""
    public: Listen | None = None
    """Where the public page is served, apart from everything else."""
    tokens: tuple[Token, ...] = ()
    protected: bool = False
    """Whether reading needs a token, too."""


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
