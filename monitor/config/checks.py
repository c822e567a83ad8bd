"""The `checks:` section: each entry typed by its probe, its defaults resolved, its references checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from typing import Any, cast

from pydantic import BaseModel, ValidationError, create_model

from monitor.config.conditions import parse_condition
from monitor.config.drafts import Draft, References
from monitor.config.faults import Entry, Faults, Place
from monitor.config.fields import NAMES, FieldsModel, build, field_steps, own_fields, own_model
from monitor.config.flapping import resolve
from monitor.config.kinds import Kinds, check_model, default_conditions, names_measurements
from monitor.config.model import DEFAULT_EVERY, DEFAULT_TIMEOUT
from monitor.config.resolving import ResolverKeys, resolver_wanted
from monitor.config.schema import CheckKeys, ConfirmKeys, DefaultsKeys, LooseCheckKeys, RecoverKeys, parse_name
from monitor.config.secrets import Secrets
from monitor.config.suggest import Vocabulary
from monitor.config.units import format_duration
from monitor.core.condition import Condition, Level
from monitor.core.model import Check, Confirm, Recover, Service
from probes.contract import BadField, Passive, Probe

_SPANS = ("every", "timeout", "degraded", "down")
_ROUNDS = 3
"""Keys that are wrong, values that are refused without them, and what the probe as a whole refuses without those."""


class Shared:
    """Equal values are kept once: of 10,000 checks most have the same labels and thresholds."""

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}
        self._conditions: dict[Any, tuple[tuple[Condition, ...], tuple[Condition, ...]]] = {}

    def value(self, value: Any) -> Any:
        return self._values.setdefault((type(value), value), value)

    def conditions(self, written: tuple[Condition, ...], probe: type[Probe] | None) -> tuple[Condition, ...]:
        """The written ones, then the defaults of `probe` (None: without), equal ones once.

        Keyed by identity: equal texts were parsed to the same object, and hashing a condition costs 13 fields.
        """
        key = (probe, *map(id, written))
        if key not in self._conditions:
            defaults = default_conditions(probe) if probe is not None else ()
            # The written ones are kept along: an id is only good as long as its object lives.
            self._conditions[key] = (tuple(dict.fromkeys((*written, *defaults))), written)
        return self._conditions[key][0]

    def mapping(self, value: dict[str, str]) -> dict[str, str]:
        found: dict[str, str] = self._values.setdefault((dict, tuple(value.items())), value)
        return found


def read_drafts(entries: Iterable[Entry], kinds: Kinds, secrets: Secrets, faults: Faults) -> list[Draft]:
    """One draft an entry. Every fault that an entry has by itself is reported here."""
    words = Vocabulary("probe", kinds.probes)
    return [_read_draft(entry, kinds, words, secrets, faults) for entry in entries]


def claim_ids(drafts: Iterable[Draft], faults: Faults) -> None:
    """Ids, former ones included, are unique."""
    claimed: dict[str, Draft] = {}
    for draft in drafts:
        former = draft.keys.was if draft.keys else ()
        for claim in dict.fromkeys((draft.id, *former)):
            if claim is None:
                continue
            other = claimed.setdefault(claim, draft)
            if other is draft:
                continue
            key = "was" if claim != draft.id else "id" if draft.keys and draft.keys.id else "name"
            if other.place == draft.place:
                message = f'for_each makes several checks called "{claim}": put a placeholder into the {key}'
            elif other.id != claim:
                message = f'"{claim}" is a former id (was) of the check at {other.place}: choose another'
            elif key == "was":
                message = f'"{claim}" is not free: the check at {other.place} has it'
            else:
                message = f'duplicate {key} "{claim}": the check at {other.place} has it already'
            faults.add(draft.place, message, key)


def claim_tokens(drafts: Iterable[Draft], faults: Faults) -> None:
    """What is sent to a token reaches one check: no two have the same one."""
    claimed: dict[tuple[str, bytes], Draft] = {}
    for draft in drafts:
        if isinstance(draft.probe, Passive):
            other = claimed.setdefault((draft.probe.door, draft.probe.claim), draft)
            if other is not draft:
                message = f'"{draft.name}" has the token of "{other.name}" ({other.place}): give each its own'
                faults.add(draft.place, message, "token")


def finish_check(
    draft: Draft,
    defaults: DefaultsKeys,
    references: References,
    services: Mapping[str, Service],
    shared: Shared,
    resolver: ResolverKeys | None = None,
) -> Check:
    """The finished check of a draft without faults. Owner and runbook are its service's unless it has its own.
    `resolver` is the agent's."""
    keys, probe = cast(CheckKeys, draft.keys), cast(Probe, draft.probe)
    check_id = cast(str, draft.id)
    every = shared.value(keys.every or defaults.every or DEFAULT_EVERY)
    service = shared.value(draft.service or check_id)
    live = tuple(other for other in draft.depends_on if references.drafts[other].enabled)
    return Check(
        id=check_id,
        name=check_id if keys.name == check_id else keys.name,
        service=service,
        probe=probe,
        every=every,
        timeout=shared.value(keys.timeout or min(defaults.timeout or DEFAULT_TIMEOUT, every)),
        conditions=shared.conditions(_written_conditions(keys), type(probe) if keys.defaults else None),
        impact=draft.impact,
        confirm=shared.value(_confirm(keys.confirm, defaults.confirm)),
        recover=shared.value(_recover(keys.recover, defaults.recover)),
        flapping=shared.value(resolve(keys.flapping, defaults.flapping)),
        labels=shared.mapping({**(defaults.labels or {}), **(keys.labels or {})}),
        owner=shared.value(keys.owner or services[service].owner or defaults.owner),
        runbook=shared.value(keys.runbook or services[service].runbook),
        depends_on=live,
        usual=probe.usual if _asked(keys.usual, defaults.usual) else None,
        was=keys.was,
        resolver=shared.value(resolver_wanted(keys.resolver, resolver)) if keys.resolver is not None else None,
        ip=keys.ip,
    )


def check_spans(draft: Draft, defaults: DefaultsKeys, faults: Faults) -> None:
    """A look ends before the next begins, and a window holds at least one."""
    if draft.spans is None:
        return
    spans = cast(CheckKeys, draft.spans)
    every = spans.every or defaults.every or DEFAULT_EVERY
    timeout = spans.timeout
    if timeout is not None and timeout > every:
        faults.add(
            draft.place,
            f"must not be longer than every ({format_duration(every)}): scheduled looks of a check never overlap",
            "timeout",
        )
    for level in ("degraded", "down"):
        for index, condition in enumerate(getattr(spans, level)):
            fault = _window_fault(condition, every) if isinstance(condition, Condition) else None
            if fault is not None:
                faults.add(draft.place, fault, level, index)


def _window_fault(condition: Condition, every: timedelta) -> str | None:
    window, at_least = condition.window, condition.at_least
    if window is None:
        return None
    if window < every:
        said = f"the window {format_duration(window)} is shorter than every ({format_duration(every)})"
        return f"{said}: it would hold no look"
    looks = int(window / every)
    if at_least is not None and condition.ratio_of is None and at_least > looks:
        said = f"the window {format_duration(window)} holds {looks} looks, one each {format_duration(every)}"
        return f"{said}: it can never hold {at_least:g}"
    return None


def _read_draft(entry: Entry, kinds: Kinds, words: Vocabulary, secrets: Secrets, faults: Faults) -> Draft:
    place, raw = entry.place, entry.value
    if not isinstance(raw, dict):
        faults.add(place, "must be a mapping with at least name: and probe:")
        return Draft(place, None, None, None)
    name = _identity(raw.get("name"), secrets)
    draft = Draft(place, _identity(raw.get("id"), secrets) or name, name, _identity(raw.get("service"), secrets))
    probe = _probe_kind(raw, kinds, words, secrets, faults, place)
    model: type[BaseModel] = LooseCheckKeys
    if probe is not None:
        try:
            model = check_model(probe)
            default_conditions(probe)
        except TypeError as error:
            faults.add(place, f"this kind of probe is broken, report it to its author: {error}", "probe")
            probe = None
    try:
        keys = model.model_validate(raw, context=secrets)
    except ValidationError as error:
        faults.add_findings(place, error, model)
        draft.depends_on = _written_names(raw.get("depends_on", []), secrets)
        draft.spans = _read_spans(model, raw, error, secrets)
        made = _report_refusal(probe, raw, place, secrets, faults) if probe is not None else None
        if made is not None and draft.spans is not None:
            draft.spans = _with_conditions(draft.spans, made, place, faults)
        return draft
    draft.depends_on, draft.spans = cast(CheckKeys, keys).depends_on, keys
    if probe is not None:
        draft.probe = build_or_fault(probe, keys, place, faults)
        if draft.probe is not None:
            draft.spans = _with_conditions(keys, draft.probe, place, faults)
        draft.keys = cast(CheckKeys, draft.spans)
        if probe.usual is None and draft.keys.usual:
            known = next((item.name for item in draft.probe.measured), "response_time") if draft.probe else ""
            advice = f"leave it out, or write a condition such as {known} > 3x usual"
            faults.add(place, f"nothing of {probe.kind} is compared with its own past: {advice}", "usual")
    return draft


def _with_conditions(spans: BaseModel, probe: Probe, place: Place, faults: Faults) -> BaseModel:
    """`spans` with its conditions read against what this very probe measures, where its fields say what that is."""
    if not names_measurements(type(probe)):
        return spans
    read: dict[str, tuple[Condition, ...]] = {}
    for level in Level:
        found = []
        for index, text in enumerate(getattr(spans, level.value)):
            try:
                found.append(parse_condition(text, level, probe.measured))
            except ValueError as error:
                faults.add(place, str(error), level.value, index)
        read[level.value] = tuple(found)
    return spans.model_copy(update=read)


def build_or_fault(cls: Any, keys: BaseModel, place: Place, faults: Faults) -> Any:
    """The finished probe or sink; None, and the fault, when it refuses its fields."""
    try:
        return build(cls, keys)
    except BadField as error:
        for bad in error.all:
            faults.add(place, str(bad), *field_steps(bad))
    except ValueError as error:
        faults.add(place, str(error))
    return None


def _report_refusal(
    probe: type[Probe], raw: Mapping[str, Any], place: Place, secrets: Secrets, faults: Faults
) -> Probe | None:
    """What the probe itself refuses is told along with the faults in other keys of its entry; the probe, if it can be
    made all the same."""
    names, model = {name.rstrip("_") for name, _ in own_fields(probe)}, own_model(probe)
    own = rest = {key: raw[key] for key in raw if key in names}
    for _ in range(_ROUNDS):
        try:
            keys = model.model_validate(rest, context=secrets)
        except ValidationError as error:
            faults.add_findings(place, error, model, missing=False)
            rest = _without_faults(rest, error)
        else:
            made = build_or_fault(probe, keys, place, faults)
            return made if rest is own else None  # what it measures may hang on what was left out
    return None


def _without_faults(own: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """What is written, but for the keys that have faults, or the keys in them."""
    rest = dict(own)
    for item in error.errors(include_url=False, include_input=False):
        key, *inner = item["loc"]
        held = rest.get(str(key))
        if inner and isinstance(held, dict):
            rest[str(key)] = {name: value for name, value in held.items() if name != inner[0]}
        else:
            rest.pop(str(key), None)
    return rest


def _read_spans(
    model: type[BaseModel], raw: Mapping[str, Any], error: ValidationError, secrets: Secrets
) -> BaseModel | None:
    """What `check_spans` compares, of an entry that has faults: a fault elsewhere hides none of those."""
    bad = {item["loc"][0] for item in error.errors(include_url=False, include_input=False) if item["loc"]}
    if "every" in bad:
        return None
    written = {key: raw[key] for key in _SPANS if key in raw and key not in bad}
    return _spans_model(model).model_validate(written, context=secrets)


@cache
def _spans_model(model: type[BaseModel]) -> type[BaseModel]:
    fields: dict[str, Any] = {key: (model.model_fields[key].annotation, model.model_fields[key]) for key in _SPANS}
    made: type[BaseModel] = create_model("spans", __base__=FieldsModel, **fields)
    return made


def _written_names(written: Any, secrets: Secrets) -> tuple[str, ...]:
    try:
        return NAMES.validate_python(written, context=secrets)
    except ValidationError:
        return ()  # the model reports it


def _probe_kind(
    raw: Mapping[str, Any], kinds: Kinds, words: Vocabulary, secrets: Secrets, faults: Faults, place: Place
) -> type[Probe] | None:
    if "probe" not in raw:
        faults.add(place, f'"probe" is missing: known are {", ".join(kinds.probes)}')
        return None
    try:
        kind = secrets.resolve(raw["probe"], public=True)
    except ValueError as error:
        faults.add(place, str(error), "probe")
        return None
    if kind not in kinds.probes:
        faults.add(place, words.unknown(kind), "probe")
        return None
    return kinds.probes[kind]


def _identity(written: Any, secrets: Secrets) -> str | None:
    try:
        return parse_name(secrets.resolve(written, public=True)) if written is not None else None
    except ValueError:
        return None  # the model reports it


def _written_conditions(keys: CheckKeys) -> tuple[Condition, ...]:
    return cast("tuple[Condition, ...]", (*keys.degraded, *keys.down))


def _confirm(own: ConfirmKeys | None, default: ConfirmKeys | None) -> Confirm:
    return Confirm(**{**_written(default), **_written(own)})


def _recover(own: RecoverKeys | None, default: RecoverKeys | None) -> Recover:
    return Recover(**{**_written(default), **_written(own)})


def _asked(own: bool | None, default: bool | None) -> bool:  # noqa: FBT001  (as it is written, or not at all)
    return own if own is not None else default is not False


def _written(keys: BaseModel | None) -> dict[str, Any]:
    return {key: value for key, value in keys if value is not None} if keys else {}
