"""checks.yaml, and checks.d/ beside it, to a finished `Config`; or one `ConfigError` that lists every fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from monitor.collector import collector_paused
from monitor.config.actions import read_actions
from monitor.config.agent import finish_agent
from monitor.config.checks import (
    Shared,
    check_spans,
    claim_ids,
    claim_tokens,
    finish_check,
    read_drafts,
)
from monitor.config.document import Budget, Document, Plain, Unreadable, read_document
from monitor.config.drafts import Draft, References, resolve_dependencies
from monitor.config.escalation import read_escalations
from monitor.config.faults import Entry, Faults, Place
from monitor.config.foreach import expand
from monitor.config.kinds import Kinds
from monitor.config.maintenance import Coverable, coverable, read_maintenance
from monitor.config.model import AgentSettings, Config, ConfigError, Fault, Oncall
from monitor.config.oncall import read_oncall
from monitor.config.people import EVERYONE, Targets, check_groups, read_groups, read_people, ways_of
from monitor.config.routes import Known, Lookup, closed_lookups, one_of, read_routes
from monitor.config.schema import MAIN_ONLY, SECTIONS, AgentKeys, DefaultsKeys
from monitor.config.secrets import Secrets
from monitor.config.services import read_services
from monitor.config.sinks import read_sinks
from monitor.config.suggest import Vocabulary
from monitor.core.model import Check, Service
from monitor.core.rota import Person
from monitor.sinks.contract import Sink

__all__ = ["ConfigError", "Fault", "Kinds", "find_agent", "load"]

FOLDER = "checks.d"
_SINGULAR = {"people": "person"}
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(slots=True)
class _Sections:
    """What all files hold together."""

    single: dict[str, Entry] = field(default_factory=dict)
    sinks: dict[str, Entry] = field(default_factory=dict)
    people: dict[str, Entry] = field(default_factory=dict)
    groups: dict[str, Entry] = field(default_factory=dict)
    services: dict[str, Entry] = field(default_factory=dict)
    checks: list[Entry] = field(default_factory=list)
    routes: list[Entry] | None = None
    escalations: dict[str, Entry] = field(default_factory=dict)
    maintenance: list[Entry] = field(default_factory=list)
    actions: dict[str, Entry] = field(default_factory=dict)


def load(path: str | Path, *, kinds: Kinds, env: Mapping[str, str]) -> Config:
    """Read the configuration at `path`. Raises `ConfigError` with the faults of every file."""
    with collector_paused():
        return _load(Path(path), str(path), kinds, env)


def _load(path: Path, file: str, kinds: Kinds, env: Mapping[str, str]) -> Config:
    faults, secrets = Faults(), Secrets(env, path.parent)
    documents = _read_documents(path, file, faults)
    sections = _merge(documents, faults)
    agent = _read_single("agent", AgentKeys, sections, secrets, faults)
    defaults = _read_single("defaults", DefaultsKeys, sections, secrets, faults)
    told = _read_told(sections, kinds, secrets, faults)
    watched = _read_watched(sections, defaults, kinds, secrets, faults)
    _check_hooks(agent, sections.single.get("agent"), watched.names, faults)
    _check_services(told.sinks, sections.sinks, watched.names, faults)
    lookups = closed_lookups() | {"service": one_of(watched.names), "check": _check_lookup(watched.references)}
    escalations = read_escalations(sections.escalations, told.targets, secrets, faults)
    known = Known(lookups, told.targets, escalations)
    by_default = tuple(sections.sinks) or ((EVERYONE,) if told.people else ())
    routes = read_routes(sections.routes, by_default, known, secrets, faults)
    actions = read_actions(sections.actions, lookups, secrets, faults)
    maintenance = read_maintenance(sections.maintenance, watched.windows(defaults), secrets, faults)
    faults.raise_if_any(secrets.fault_redactor(), [document.file for document in documents])

    checks = watched.finished(defaults, agent)
    return Config(
        path=path,
        agent=finish_agent(agent, env, path.parent),
        checks=checks,
        services=watched.services,
        sinks={name: sink for name, sink in told.sinks.items() if sink is not None},
        routes=routes,
        disabled=len(watched.drafts) - len(checks),
        redactor=secrets.redactor(),
        maintenance=maintenance,
        people=told.people,
        groups=told.groups,
        oncall=told.oncall,
        actions=actions,
        escalations=escalations,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """Who may be told: `targets` are all that a route can name."""

    sinks: Mapping[str, Sink | None]
    people: Mapping[str, Person]
    groups: Mapping[str, tuple[str, ...]]
    oncall: Oncall
    targets: Targets


def _read_told(sections: _Sections, kinds: Kinds, secrets: Secrets, faults: Faults) -> _Told:
    drafted = read_people(sections.people, secrets, faults)
    people = {name: item.person for name, item in drafted.items()}
    written = sections.sinks | ways_of(drafted.values(), sections.sinks, faults)
    sinks = read_sinks(written, kinds, secrets, faults)
    groups = read_groups(sections.groups, [*sections.sinks, *people], people, secrets, faults)
    oncall = read_oncall(sections.single.get("oncall"), people, secrets, faults)
    targets = Targets(sinks, people, groups, {name: rota.people for name, rota in oncall.rotas.items()})
    check_groups(sections.groups, groups, targets, faults)
    return _Told(sinks, people, groups, oncall, targets)


@dataclass(frozen=True, slots=True)
class _Watched:
    """Checks and services, as far as they could be read; `names` are those of all services."""

    drafts: list[Draft]
    references: References
    services: Mapping[str, Service]
    names: Vocabulary
    shared: Shared

    def windows(self, defaults: DefaultsKeys) -> Coverable:
        """What a window of maintenance may name."""
        labels = {name: service.labels for name, service in self.services.items()}
        return coverable(self.drafts, self.references, self.names, labels, defaults.labels or {})

    def finished(self, defaults: DefaultsKeys, agent: AgentKeys) -> dict[str, Check]:
        """The checks that are enabled, by id, once nothing has a fault."""
        live = (draft for draft in self.drafts if draft.enabled)
        checks = (
            finish_check(draft, defaults, self.references, self.services, self.shared, agent.resolver)
            for draft in live
        )
        return {check.id: check for check in checks}


def _read_watched(
    sections: _Sections, defaults: DefaultsKeys, kinds: Kinds, secrets: Secrets, faults: Faults
) -> _Watched:
    drafts = read_drafts(expand(sections.checks, faults), kinds, secrets, faults)
    claim_ids(drafts, faults)
    claim_tokens(drafts, faults)
    references, shared = References.of(drafts), Shared()
    services = read_services(sections.services, drafts, references, defaults, secrets, faults, shared)
    resolve_dependencies(drafts, references, sections.services, faults)
    for draft in drafts:
        check_spans(draft, defaults, faults)
    return _Watched(drafts, references, services, Vocabulary("service", [*sections.services, *services]), shared)


def find_agent(path: str | Path, *, env: Mapping[str, str]) -> AgentSettings:
    """Where the agent of this file listens and keeps its journal, whatever else is wrong with the file. Raises
    `ConfigError` when that cannot be told."""
    path, faults = Path(path), Faults()
    try:
        document = read_document(path, str(path))
    except Unreadable as error:
        raise ConfigError((error.fault,)) from None
    sections = _merge([document], Faults())
    if (entry := sections.single.get("agent")) is not None and isinstance(entry.value, dict):
        # The others may need variables that only the agent has.
        known: dict[str, Plain] = {key: entry.value[key] for key in ("listen", "state_dir") if key in entry.value}
        sections.single["agent"] = Entry(entry.place, known)
    secrets = Secrets(env, path.parent)
    agent = _read_single("agent", AgentKeys, sections, secrets, faults)
    faults.raise_if_any(secrets.fault_redactor(), [document.file])
    return finish_agent(agent, env, path.parent)


def _read_documents(path: Path, file: str, faults: Faults) -> list[Document]:
    found: list[tuple[Path, str]] = [(path, file)]
    folder = path.parent / FOLDER
    if folder.is_dir():
        try:
            parts = sorted(filter(_is_part, folder.iterdir()))
        except OSError as error:
            faults.extend([Fault(str(Path(file).parent / FOLDER), 0, 0, "", f"cannot be read: {error.strerror}")])
            parts = []
        found += [(part, str(Path(file).parent / FOLDER / part.name)) for part in parts]
    documents, budget = [], Budget()
    for part, name in found:
        try:
            document = read_document(part, name, budget)
        except Unreadable as error:
            faults.extend([error.fault])
        else:
            faults.extend(document.faults, document.more_faults)
            documents.append(document)
    return documents


def _is_part(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml") and not path.name.startswith(".")


def _merge(documents: list[Document], faults: Faults) -> _Sections:
    sections = _Sections()
    words = Vocabulary("section", SECTIONS)
    for number, document in enumerate(documents):
        root = Place(document, ())
        if not isinstance(document.root, dict):
            faults.add(root, f"the file must hold sections: {', '.join(SECTIONS)}")
            continue
        for name, value in document.root.items():
            place = Place(document, (name,))
            if name not in words:
                faults.add(root, words.unknown(name), key=name)
            elif name in MAIN_ONLY and number > 0:
                faults.add(root, f"{name} belongs into the main file, not into {FOLDER}/", key=name)
            elif value is not None:
                _merge_section(sections, name, value, place, faults)
    written = [document.root for document in documents if isinstance(document.root, dict)]
    if written and not any(root.get("checks") for root in written):
        faults.add(Place(documents[0], ()), "there are no checks: write at least one under checks:")
    return sections


def _merge_section(sections: _Sections, name: str, value: Plain, place: Place, faults: Faults) -> None:
    if name in MAIN_ONLY:
        sections.single[name] = Entry(place, value)
    elif name in ("checks", "routes", "maintenance"):
        if not isinstance(value, list):
            faults.add(place, "must be a list: each entry begins with a dash")
            value = []
        entries = [Entry(Place(place.document, (name, index)), item) for index, item in enumerate(value)]
        if name == "checks":
            sections.checks += entries
        elif name == "maintenance":
            sections.maintenance += entries
        else:
            sections.routes = [*(sections.routes or ()), *entries]
    elif not isinstance(value, dict):
        faults.add(place, f"must be a mapping of names to {name}")
    else:
        target: dict[str, Entry] = getattr(sections, name)
        for key, item in value.items():
            entry = Entry(Place(place.document, (name, key)), item)
            other = target.setdefault(key, entry)
            if other is not entry:
                noun = _SINGULAR.get(name, name[:-1])
                faults.add(place, f'duplicate {noun} "{key}": it is defined at {other.place} already', key=key)


def _read_single(name: str, model: type[_Model], sections: _Sections, secrets: Secrets, faults: Faults) -> _Model:
    entry = sections.single.get(name)
    if entry is not None:
        try:
            return model.model_validate(entry.value, context=secrets)
        except ValidationError as error:
            faults.add_findings(entry.place, error, model)
    return model()


def _check_hooks(agent: AgentKeys, entry: Entry | None, services: Vocabulary, faults: Faults) -> None:
    """The services of deploys that arrive exist."""
    for name, hook in agent.hooks.items():
        for index, service in enumerate(hook.services):
            if service not in services and entry is not None:
                faults.add(entry.place, services.unknown(service), "hooks", name, "services", index)


def _check_services(
    sinks: Mapping[str, Sink | None], entries: Mapping[str, Entry], known: Vocabulary, faults: Faults
) -> None:
    """A sink that has something for each service must not wait in vain for one that does not exist."""
    for name, sink in sinks.items():
        if sink is None or sink.by_service is None:
            continue
        place = entries[name].place
        within = Place(place.document, (*place.path, sink.by_service))
        for service in getattr(sink, sink.by_service):
            if service not in known:
                faults.add(within, known.unknown(service), key=service)


def _check_lookup(references: References) -> Lookup:
    return lambda value: value if "*" in value else references.resolve(value)
