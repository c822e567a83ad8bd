"""The section `actions:`: what is done about incidents by itself, and when."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from monitor.config.checks import build_or_fault
from monitor.config.deeds import Action, Deed
from monitor.config.faults import Entry, Faults
from monitor.config.fields import own_model
from monitor.config.routes import Lookup, parse_when
from monitor.config.schema import parse_name
from monitor.config.secrets import Secrets
from monitor.core.routing import ALWAYS
from monitor.core.ruling import Rule, Trigger


def read_actions(
    entries: Mapping[str, Entry], lookups: Mapping[str, Lookup], secrets: Secrets, faults: Faults
) -> dict[str, Action]:
    """By name, in the order of the file."""
    found = {}
    for name, entry in entries.items():
        try:
            parse_name(name)
        except ValueError as error:
            faults.add(entry.place, f"the name of an action {error}")
        model = own_model(Deed)
        try:
            keys = model.model_validate(entry.value, context=secrets)
        except ValidationError as error:
            faults.add_findings(entry.place, error, model)
            continue
        deed: Deed | None = build_or_fault(Deed, keys, entry.place, faults)
        if deed is not None and (rule := _rule(deed, entry, lookups, faults)) is not None:
            found[name] = Action(rule, deed)
    return found


def _rule(deed: Deed, entry: Entry, lookups: Mapping[str, Lookup], faults: Faults) -> Rule | None:
    try:
        when = parse_when(deed.when, lookups) if deed.when else ALWAYS
    except ValueError as error:
        faults.add(entry.place, str(error), "when")
        return None
    if "event" in when.fields():
        faults.add(entry.place, "speaks of event: which of them is said by on: [opened, updated, resolved]", "when")
        return None
    most = deed.at_most
    on = frozenset(map(Trigger, deed.on))
    return Rule(when, on, deed.dry_run, deed.once, deed.cool_down, most.count, most.per)
