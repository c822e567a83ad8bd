"""The `services:` section and the outage rules: ``any of home, checkout``.

A check that names no service gets one of its own, so that every check belongs to something that customers use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from monitor.config.checks import Shared
from monitor.config.document import Plain
from monitor.config.drafts import Draft, References
from monitor.config.faults import Entry, Faults, Place
from monitor.config.fields import keys_at
from monitor.config.flapping import resolve
from monitor.config.schema import DefaultsKeys, ServiceKeys, parse_name
from monitor.config.secrets import Secrets
from monitor.config.suggest import Vocabulary, shorten
from monitor.core.model import Impact, OutageRule, Service

_RULE = re.compile(r"(any|all|[0-9]{1,6})\s+of\s+(.+)", re.DOTALL)


@dataclass(slots=True)
class _Rule:
    """A written rule: at least `needed` of `checks` (None: all of them)."""

    text: str
    needed: int | None
    checks: tuple[str, ...]


def read_services(
    entries: Mapping[str, Entry],
    drafts: list[Draft],
    references: References,
    defaults: DefaultsKeys,
    secrets: Secrets,
    faults: Faults,
    shared: Shared,
) -> dict[str, Service]:
    """The services, written ones first; sets the impact of each draft."""
    members = _members(entries, drafts, faults)
    services: dict[str, Service] = {}
    for service_id, entry in entries.items():
        own = members[service_id]
        keys = _read_keys(service_id, entry, secrets, faults)
        rule = _read_rule(service_id, entry, own, references, secrets, faults)
        _set_impacts(own, rule, defaults.impact, faults)
        if not own:
            advice = f"give a check service: {service_id}, or remove it"
            faults.add(entry.place, f"has no check: {advice}")
        live = [draft for draft in own if draft.enabled and draft.id is not None]
        if keys is not None and live:
            services[service_id] = Service(
                id=service_id,
                title=keys.title or service_id,
                checks=tuple(draft.id for draft in live if draft.id is not None),
                outage=_finish_rule(rule, live),
                owner=keys.owner,
                runbook=keys.runbook,
                labels=keys.labels or {},
                flapping=resolve(keys.flapping, defaults.flapping),
            )
    for draft in drafts:
        if draft.service is None and draft.id is not None and draft.name is not None:
            draft.impact = _impact(draft, None, defaults.impact)
            if draft.enabled:
                services.setdefault(draft.id, _implicit(draft.id, draft, entries, defaults, faults, shared))
    return services


def parse_rule(text: str) -> tuple[int | None, tuple[str, ...]]:
    """How many are needed (None: all), and of which checks as written. Raises `ValueError`."""
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'"{shorten(text)}" is no rule: write any of a, b; all of a, b; or 2 of a, b, c')
    names = tuple(name.strip() for name in match[2].split(","))
    if "" in names:
        raise ValueError("a comma is too many: write the names of checks with one comma between them")
    needed = {"any": 1, "all": None}[match[1]] if match[1] in ("any", "all") else int(match[1])
    if needed is not None and not 1 <= needed <= len(names):
        spaced = any(len(name.split()) > 1 for name in names)
        advice = "separate the names by commas, or " if spaced and needed > len(names) else ""
        raise ValueError(
            f"{needed} of {len(names)} checks can never be: {advice}write a number from 1 to {len(names)}"
        )
    return needed, names


def _members(entries: Mapping[str, Entry], drafts: list[Draft], faults: Faults) -> dict[str, list[Draft]]:
    members: dict[str, list[Draft]] = {service: [] for service in entries}
    words = Vocabulary("service", entries)
    for draft in drafts:
        if draft.service is None:
            continue
        if draft.service in members:
            members[draft.service].append(draft)
        else:
            faults.add(draft.place, words.unknown(draft.service), "service")
    return members


def _read_keys(service_id: str, entry: Entry, secrets: Secrets, faults: Faults) -> ServiceKeys | None:
    try:
        parse_name(service_id)
    except ValueError as error:
        faults.add(entry.place, f"the name of a service {error}")
    written = entry.value if entry.value is not None else {}
    if isinstance(written, dict) and (split := _split_off(written)):
        for key in split:
            faults.add(
                entry.place, f'unknown key "{shorten(key)}": quote the rule of outage, it holds a comma', key=key
            )
        written = {key: value for key, value in written.items() if key not in split}
    try:
        return ServiceKeys.model_validate(written, context=secrets)
    except ValidationError as error:
        faults.add_findings(entry.place, error, ServiceKeys)
        return None


def _split_off(written: dict[str, Plain]) -> list[str]:
    """What YAML has cut off an outage rule at a comma: ``{outage: any of home, checkout}`` has a key `checkout`."""
    if not isinstance(written.get("outage"), str):
        return []
    known = keys_at(ServiceKeys, ())
    return [key for key, value in written.items() if value is None and key not in known]


def _read_rule(
    service_id: str, entry: Entry, own: list[Draft], references: References, secrets: Secrets, faults: Faults
) -> _Rule | None:
    written = entry.text("outage")
    if written is None or (isinstance(entry.value, dict) and _split_off(entry.value)):
        return None
    try:
        text = secrets.resolve(written, public=True)
        needed, names = parse_rule(text)
        ids = tuple(_member(name, service_id, own, references) for name in names)
        if len(set(ids)) < len(ids):
            raise ValueError("names a check twice: name each once")
    except ValueError as error:
        faults.add(entry.place, str(error), "outage")
        return None
    return _Rule(" ".join(text.split()), needed, ids)


def _member(name: str, service_id: str, own: list[Draft], references: References) -> str:
    try:
        check = references.resolve(name)
    except ValueError:
        known = [draft.id for draft in own if draft.id]
        if len(name.split()) > 1 and set(name.split()) <= set(known):
            raise ValueError(f'"{shorten(name)}" is no check: separate the names by commas') from None
        raise ValueError(Vocabulary("check", known).unknown(name)) from None
    if references.drafts[check].service != service_id:
        raise ValueError(f'the check "{name}" does not belong to this service: give it service: {service_id}')
    return check


def _set_impacts(own: list[Draft], rule: _Rule | None, default: Impact | None, faults: Faults) -> None:
    for draft in own:
        named = None if rule is None else draft.id in rule.checks
        draft.impact = _impact(draft, named, default)
        if named and draft.impact is not Impact.OUTAGE:
            message = "contradicts the service's outage rule, which names this check: change one of them"
            faults.add(draft.place, message, "impact")


def _impact(draft: Draft, named: bool | None, default: Impact | None) -> Impact:  # noqa: FBT001  (None: no rule)
    """What is written at the check counts first, then the service's rule, then the defaults."""
    if draft.keys is not None and draft.keys.impact is not None:
        return draft.keys.impact
    if named is not None:
        return Impact.OUTAGE if named else Impact.DEGRADATION
    return default or Impact.OUTAGE


def _finish_rule(rule: _Rule | None, live: list[Draft]) -> OutageRule:
    """Over the checks that are looked at: a disabled one is as if it were not named."""
    if rule is None:
        return OutageRule(1, tuple(draft.id for draft in live if draft.id and draft.impact is Impact.OUTAGE))
    enabled = {draft.id for draft in live}
    checks = tuple(check for check in rule.checks if check in enabled)
    needed = len(checks) if rule.needed is None else min(rule.needed, len(checks))
    return OutageRule(max(needed, 1), checks, rule.text)


def _implicit(
    check: str, draft: Draft, entries: Mapping[str, Entry], defaults: DefaultsKeys, faults: Faults, shared: Shared
) -> Service:
    if check in entries:
        place: Place = entries[check].place
        faults.add(
            draft.place,
            f'the service at {place} is called "{check}" too: give this check service: {check}, or another id',
            "id" if draft.keys and draft.keys.id else "name",
        )
    keys, checks = draft.keys, (check,)
    return Service(
        id=check,
        title=check if draft.name == check else draft.name or check,  # one text for both
        checks=checks,
        outage=OutageRule(1, checks if draft.impact is Impact.OUTAGE else ()),
        owner=keys.owner if keys else None,
        runbook=keys.runbook if keys else None,
        labels=shared.mapping((keys.labels or {}) if keys else {}),
        flapping=shared.value(resolve(keys.flapping if keys else None, defaults.flapping)),
        implicit=True,
    )
