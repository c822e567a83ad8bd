"""The sections `people:` and `groups:`: who can be reached, and how; and what may stand after ``to:``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import Field, ValidationError

from monitor.config.faults import Entry, Faults, Place
from monitor.config.fields import NAMES, FieldsModel, Names
from monitor.config.hours import AwakeText, ZoneText
from monitor.config.schema import parse_name
from monitor.config.secrets import Secrets
from monitor.config.suggest import Vocabulary
from monitor.core.hours import Hours
from monitor.core.rota import Person

EVERYONE, ONCALL = "everyone", "oncall"
AWAKE = (8 * 60, 22 * 60)
"""When people are awake who do not say so, in minutes of the day."""


class PersonKeys(FieldsModel):
    """Somebody who can be reached. Every further key is a way: a sink of that name."""

    timezone: ZoneText | None = Field(default=None, description="Where they live (UTC)")
    awake: AwakeText | None = Field(default=None, description="When they are awake there (08:00-22:00)")
    known_as: Names = Field(default=(), description="What a calendar calls them: a name, an address")


@dataclass(frozen=True, slots=True)
class Drafted:
    """A person before their ways are read: each is a sink, by what it is called there."""

    person: Person
    ways: Mapping[str, Entry]


def read_people(entries: Mapping[str, Entry], secrets: Secrets, faults: Faults) -> dict[str, Drafted]:
    """The section, by name."""
    found = {}
    for name, entry in entries.items():
        if not _is_name(name, entry.place, "person", faults):
            continue
        value = {} if entry.value is None else entry.value
        if not isinstance(value, dict):
            faults.add(entry.place, "must be a mapping of ways, as in sms: {type: ...}")
            continue
        own = {
            key: item for key, item in value.items() if key in PersonKeys.model_fields or not isinstance(item, dict)
        }
        place = entry.place
        ways = {
            key: Entry(Place(place.document, (*place.path, key)), item)
            for key, item in value.items()
            if key not in own
        }
        keys = PersonKeys()
        try:
            keys = PersonKeys.model_validate(own, context=secrets)
        except ValidationError as error:
            faults.add_findings(entry.place, error, PersonKeys)
        for way in ways:
            if "." in way:
                faults.add(entry.place, "the name of a way holds no dot: it is written after one, as in ann.sms", way)
        if not ways:
            faults.add(entry.place, "cannot be reached: write a way, as in sms: {type: ...}")
        begin, end = keys.awake or AWAKE
        sinks = {way: f"{name}.{way}" for way in ways}
        found[name] = Drafted(Person(name, Hours(begin, end, keys.timezone or "UTC"), sinks, keys.known_as), ways)
    return found


def ways_of(drafted: Iterable[Drafted], sinks: Mapping[str, Entry], faults: Faults) -> dict[str, Entry]:
    """The sinks that people's ways are, by their names; `sinks` are those of the section."""
    found = {}
    for item in drafted:
        for way, entry in item.ways.items():
            name = item.person.ways[way]
            if name in sinks:
                faults.add(sinks[name].place, f"people have a way of that name already, at {entry.place}")
            found[name] = entry
    return found


def read_groups(
    entries: Mapping[str, Entry], taken: Iterable[str], people: Iterable[str], secrets: Secrets, faults: Faults
) -> dict[str, tuple[str, ...]]:
    """The section, by name: the members as written. ``everyone`` is there without being written. `taken`: names of
    people and sinks."""
    found: dict[str, tuple[str, ...]] = {}
    names = frozenset(taken)
    for name, entry in entries.items():
        _is_name(name, entry.place, "group", faults)
        if name in names or name == ONCALL:
            faults.add(entry.place, f'"{name}" is the name of something else already: give the group its own')
        try:
            found[name] = NAMES.validate_python(entry.value, context=secrets)
        except ValidationError:
            faults.add(entry.place, "must be a list of people, of their ways such as ann.sms, of sinks, or of groups")
    everyone = tuple(people)
    return ({EVERYONE: everyone} if everyone else {}) | found


class Targets(Vocabulary):
    """What may stand after ``to:``: sinks, people, groups, whoever is on call, and a way of each, as in
    ``oncall.sms``."""

    def __init__(
        self,
        sinks: Iterable[str],
        people: Mapping[str, Person],
        groups: Mapping[str, tuple[str, ...]],
        rotas: Mapping[str, tuple[str, ...]],
    ) -> None:
        """`rotas`: the people of each."""
        self._ways: dict[str, Callable[[str], str | None]] = {
            **{name: self._lacking(self._of_group(name, groups, people, rotas), people) for name in groups},
            **{name: self._lacking(members, people) for name, members in rotas.items()},
            **{name: self._lacking((name,), people) for name in people},
        }
        known = [*sinks, *people, *groups, *rotas]
        super().__init__("sink, person or group" if people or groups or rotas else "sink", known)

    def __contains__(self, word: str) -> bool:
        return super().__contains__(word) or self._lacks(word) == ""

    def unknown(self, word: str) -> str:
        return self._lacks(word) or super().unknown(word)

    def _lacks(self, word: str) -> str | None:
        """Who lacks the way that is named, as a text; empty: nobody. None: it names no way of somebody."""
        name, dot, way = word.rpartition(".")
        lacks = self._ways.get(name) if dot and way else None
        return None if lacks is None else lacks(way)

    @staticmethod
    def _lacking(members: Iterable[str], people: Mapping[str, Person]) -> Callable[[str], str | None]:
        persons = [people[name] for name in members if name in people]

        def lacks(way: str) -> str | None:
            without = [person.id for person in persons if way not in person.ways]
            if persons and not without:
                return ""
            named = ", ".join(without[:5]) or "nobody"
            verb = "has" if len(without) < 2 else "have"
            return f'{named} {verb} no way "{way}": write one under people'

        return lacks

    @staticmethod
    def _of_group(
        name: str,
        groups: Mapping[str, tuple[str, ...]],
        people: Mapping[str, Person],
        rotas: Mapping[str, tuple[str, ...]],
    ) -> list[str]:
        """The people that a group leads to; groups may name groups."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        asked = [name]
        while asked:
            one = asked.pop()
            if one in seen:
                continue
            seen.add(one)
            asked += [*groups.get(one, ()), *rotas.get(one, ())]
            found |= {one: None} if one in people else {}
        return list(found)


def check_groups(
    entries: Mapping[str, Entry], groups: Mapping[str, tuple[str, ...]], targets: Targets, faults: Faults
) -> None:
    """That all members are there."""
    for name, entry in entries.items():
        for index, member in enumerate(groups.get(name, ())):
            if member not in targets:
                step = (index,) if isinstance(entry.value, list) else ()
                faults.add(entry.place, targets.unknown(member), *step)


def _is_name(name: str, place: Place, noun: str, faults: Faults) -> bool:
    try:
        parse_name(name)
        if "." in name:
            raise ValueError("holds a dot: what follows one is a way, as in ann.sms")
    except ValueError as error:
        faults.add(place, f"the name of a {noun} {error}")
        return False
    return True
