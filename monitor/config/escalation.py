"""Who is called while nobody acknowledges: steps at a route (``escalate:``), or in the section `escalations:` under a
name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_core import core_schema

from monitor.config.document import Plain
from monitor.config.faults import Entry, Faults, Place
from monitor.config.fields import TEXT_JSON, Duration, FieldsModel, Names, findings
from monitor.config.model import Escalating
from monitor.config.secrets import Secrets
from monitor.config.suggest import Vocabulary
from monitor.config.units import format_duration
from monitor.core.routing import Step

MOST_STEPS = 50
_AT_ONCE = timedelta(0)
_EXAMPLE = "[{to: chat}, {after: 5m, to: pager}]"


class StepKeys(FieldsModel):
    """Who is told, and when."""

    after: Duration | None = Field(None, description="How long nobody has acknowledged it by then")
    to: Names = Field(description="Who is told, as in a route")


class ByName:
    """Annotates the steps of a route: in their place a name of `escalations:` may stand."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_wrap_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [TEXT_JSON, handler(schema)]}

    @staticmethod
    def _read(value: Plain, steps: Any, info: Any) -> Any:
        if isinstance(value, list):
            return steps(value)
        if isinstance(value, dict):
            raise ValueError(f"must be a list of steps, such as {_EXAMPLE}, or a name of escalations")  # noqa: TRY004
        secrets: Secrets = info.context
        return secrets.resolve(value, public=True)


Escalate = Annotated[tuple[StepKeys, ...], ByName()]


class _Steps(FieldsModel):
    """A list of steps, to be read by itself."""

    steps: tuple[StepKeys, ...]


def read_escalations(
    entries: Mapping[str, Entry], targets: Vocabulary, secrets: Secrets, faults: Faults
) -> dict[str, Escalating]:
    """The section, by name."""
    found = {}
    for name, entry in entries.items():
        found[name] = Escalating()
        if not isinstance(entry.value, list):
            faults.add(entry.place, f"must be a list of steps, such as {_EXAMPLE}")
            continue
        try:
            keys = _Steps.model_validate({"steps": entry.value}, context=secrets)
        except ValidationError as error:
            for (_, *path), key, message in findings(error, _Steps, ()):
                faults.add(entry.place, message, *path, key=key)
        else:
            found[name] = finish_steps(keys.steps, entry.place, targets, faults)
    return found


def finish_steps(
    steps: tuple[StepKeys, ...], place: Place, targets: Vocabulary, faults: Faults, *path: str | int
) -> Escalating:
    """What the steps say that stand at a place. Those of one moment are one."""
    at_once: tuple[str, ...] = ()
    later: list[Step] = []
    if not steps:
        faults.add(place, f"has no step: write some, such as {_EXAMPLE}, or remove it", *path)
    if len(steps) > MOST_STEPS:
        faults.add(place, f"{len(steps)} steps are too many: {MOST_STEPS} are the most", *path)
    for index, step in enumerate(steps):
        check_targets(step.to, targets, place, "step", faults, *path, index, "to")
        after = step.after or _AT_ONCE
        before = later[-1].after if later else _AT_ONCE
        if after < before:
            told = f"must be {format_duration(before)} or more: the step before it comes then"
            faults.add(place, told, *path, index, "after")
        elif after == _AT_ONCE:
            at_once += step.to
        elif later and after == before:
            later[-1] = Step(after, (*later[-1].to, *step.to))
        else:
            later.append(Step(after, step.to))
    return Escalating(at_once, tuple(later))


def check_targets(
    to: tuple[str, ...], targets: Vocabulary, place: Place, noun: str, faults: Faults, *path: str | int
) -> None:
    """That somebody is named at this path, and that all are known."""
    for index, target in enumerate(to):
        if target not in targets:
            faults.add(place, targets.unknown(target), *path, index)
    if not to:
        faults.add(place, f"names no sink: name one, or remove the {noun}", *path)
