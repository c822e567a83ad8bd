"""Where a thing was written, and the list of all that is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from monitor.config.document import MAX_FAULTS, Document, FilePath, Plain
from monitor.config.fields import findings
from monitor.config.model import ConfigError, Fault
from monitor.config.redact import Redactor

LONGEST_MESSAGE = 500
"""Characters of a fault's message: it may quote a text of the file, which may be megabytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a file."""

    document: Document
    path: FilePath

    def __str__(self) -> str:
        fault = self.document.fault(self.path, "")
        return f"{fault.file}:{fault.line}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written at a place."""

    place: Place
    value: Plain

    def text(self, key: str) -> str | None:
        """The text of `key` as it is written, if there is one."""
        found = self.value.get(key) if isinstance(self.value, dict) else None
        return found if isinstance(found, str) else None


class Faults:
    """Collects every fault; nothing is raised before all was looked at. Beyond `MAX_FAULTS` they are only counted: a
    file of three megabytes may have a million."""

    def __init__(self) -> None:
        self._faults: dict[Fault, None] = {}
        self._more = 0

    def add(self, place: Place, message: str, *steps: str | int, key: str | None = None) -> None:
        """`steps` lead on from the place; `key` points at a key of the mapping there."""
        if len(self._faults) >= MAX_FAULTS:
            self._more += 1
            return
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[:LONGEST_MESSAGE]}..."
        self._faults[place.document.fault((*place.path, *steps), message, key=key)] = None

    def extend(self, faults: Iterable[Fault], more: int = 0) -> None:
        """`more` are those that were only counted."""
        self._faults.update(dict.fromkeys(faults))
        self._more += more

    def add_findings(
        self, place: Place, error: ValidationError, model: type[BaseModel], *, missing: bool = True
    ) -> None:
        """`missing` says whether keys that are not there are faults."""
        for steps, key, message in findings(error, model, (), missing=missing):
            self.add(place, message, *steps, key=key)

    def raise_if_any(self, redactor: Redactor, files: Iterable[str]) -> None:
        """Raises `ConfigError` with the faults in the order of `files` and lines, without secrets."""
        if not self._faults:
            return
        order = {file: index for index, file in enumerate(files)}
        clean = {
            Fault(fault.file, fault.line, fault.column, redactor.text(fault.path), redactor.text(fault.message)): None
            for fault in self._faults
        }
        raise ConfigError(
            tuple(sorted(clean, key=lambda f: (order.get(f.file, len(order)), f.file, f.line, f.column, f.message))),
            self._more,
        )
