"""A check on its way from the file to the finished value, and which checks others may name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from monitor.config.faults import Faults, Place
from monitor.config.schema import CheckKeys
from monitor.config.suggest import Vocabulary, shorten
from monitor.core.model import Impact
from probes.contract import Probe

_SHOWN_OF_A_CYCLE = 8


@dataclass(slots=True)
class Draft:
    """A check on its way: `keys` and `probe` are None where the entry has faults."""

    place: Place
    id: str | None
    name: str | None
    service: str | None
    keys: CheckKeys | None = None
    spans: BaseModel | None = None
    """`every`, `timeout` and the conditions, as far as they could be read; None where `every` could not."""
    probe: Probe | None = None
    depends_on: tuple[str, ...] = ()
    """As written; ids once `resolve_dependencies` has been through."""
    impact: Impact = Impact.OUTAGE

    @property
    def enabled(self) -> bool:
        return self.keys is None or self.keys.enabled


@dataclass(slots=True)
class References:
    """Which checks are known: by id, and by a name that only one of them has."""

    drafts: dict[str, Draft] = field(default_factory=dict)
    _by_name: dict[str, str | None] = field(default_factory=dict)
    _words: Vocabulary | None = None

    @classmethod
    def of(cls, drafts: Iterable[Draft]) -> References:
        found = cls()
        for draft in drafts:
            if draft.id is not None and draft.name is not None:
                found.drafts.setdefault(draft.id, draft)
                found._by_name[draft.name] = None if draft.name in found._by_name else draft.id
        found._words = Vocabulary("check", found.drafts)
        return found

    def resolve(self, written: str) -> str:
        """The id of the check that is called so. Raises `ValueError`."""
        if written in self.drafts:
            return written
        by_name = self._by_name.get(written)
        if by_name is not None:
            return by_name
        if written in self._by_name:
            raise ValueError(f'several checks are called "{written}": name the one you mean by its id')
        raise ValueError((self._words or Vocabulary("check", ())).unknown(written))


def resolve_dependencies(
    drafts: Sequence[Draft], references: References, services: Collection[str], faults: Faults
) -> None:
    """Checks that others depend on exist, and none depends on itself. `services` are the names of those, which some
    will write instead."""
    for draft in drafts:
        found = []
        for index, written in enumerate(draft.depends_on):
            try:
                found.append(references.resolve(written))
            except ValueError as error:
                said = _is_a_service(written, drafts) if written in services else str(error)
                faults.add(draft.place, said, "depends_on", index)
        draft.depends_on = tuple(dict.fromkeys(found))
    for cycle in _cycles({id_: draft.depends_on for id_, draft in references.drafts.items()}):
        chain = " -> ".join((*cycle, cycle[0]))
        faults.add(
            references.drafts[cycle[0]].place, f"depends on itself: {chain}: remove one of these", "depends_on"
        )


def _is_a_service(written: str, drafts: Iterable[Draft]) -> str:
    own = next((draft.name for draft in drafts if draft.service == written and draft.name is not None), "home")
    return f'"{shorten(written)}" is a service: name those of its checks that can be the cause, such as {own}'


def _cycles(edges: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Each cycle that a walk in order comes upon, once; of a long one the beginning. No recursion: a chain may be as
    long as the file, and each of its members may close a cycle."""
    done: set[str] = set()
    for start in edges:
        stack = [(start, iter(edges[start]))] if start not in done else []
        trail = {start: 0} if stack else {}
        while stack:
            node, following = stack[-1]
            step = next(following, None)
            if step is None:
                stack.pop()
                trail.pop(node)
                done.add(node)
            elif step in trail:
                begin, end = trail[step], len(stack)
                shown = [name for name, _ in stack[begin : min(end, begin + _SHOWN_OF_A_CYCLE)]]
                yield tuple(shown) if end - begin <= _SHOWN_OF_A_CYCLE else (*shown[:-1], "...")
            elif step not in done and step in edges:
                trail[step] = len(stack)
                stack.append((step, iter(edges[step])))
