"""The entries below `sinks:` to finished sinks, and what holds between them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from monitor.config.checks import build_or_fault
from monitor.config.faults import Entry, Faults
from monitor.config.kinds import Kinds, sink_model
from monitor.config.schema import SinkKeys, parse_name
from monitor.config.secrets import Secrets
from monitor.config.suggest import Vocabulary
from monitor.core.handled import Updates
from monitor.sinks.contract import Nature, Sink


def read_sinks(
    entries: Mapping[str, Entry], kinds: Kinds, secrets: Secrets, faults: Faults
) -> dict[str, Sink | None]:
    """By name, in the order of the file; None for one with a fault."""
    sinks = {name: _read_sink(name, entry, kinds, secrets, faults) for name, entry in entries.items()}
    known = Vocabulary("sink", entries)
    for name, sink in sinks.items():
        _check_common(name, sink, entries[name], known, faults)
    return sinks


def _check_common(name: str, sink: Sink | None, entry: Entry, known: Vocabulary, faults: Faults) -> None:
    """`sink`: None for one with a fault; what is wrong besides is told in the same go."""
    instead = _written_fallback(entry) if sink is None else sink.fallback.to if sink.fallback is not None else None
    if instead == name:
        faults.add(entry.place, "names this sink itself: name another one", "fallback", "to")
    elif instead is not None and instead not in known:
        faults.add(entry.place, known.unknown(instead), "fallback", "to")
    if sink is None or sink.nature is Nature.HUMAN:
        return
    if sink.most is not None:
        told = f"a {sink.kind} gets all that it has to know, and no less: this is for sinks that people read"
        faults.add(entry.place, told, "most")
    if sink.updates is not Updates.ALL:
        told = f"a {sink.kind} must be told how it goes on, and its end: this is for sinks that people read"
        faults.add(entry.place, told, "updates")


def _written_fallback(entry: Entry) -> str | None:
    fallback = entry.value.get("fallback") if isinstance(entry.value, dict) else None
    written = fallback.get("to") if isinstance(fallback, dict) else None
    return written if isinstance(written, str) and "$" not in written else None  # the name may be a variable's


def _read_sink(name: str, entry: Entry, kinds: Kinds, secrets: Secrets, faults: Faults) -> Sink | None:
    words = Vocabulary("sink type", kinds.sinks)
    try:
        parse_name(name)
    except ValueError as error:
        faults.add(entry.place, f"the name of a sink {error}")
    if not isinstance(entry.value, dict):
        faults.add(entry.place, "must be a mapping with at least type:")
        return None
    written = entry.text("type")
    if written is None:
        faults.add(entry.place, f'"type" is missing: known are {", ".join(kinds.sinks)}')
        return None
    kind = kinds.sinks.get(written)
    if kind is None:
        faults.add(entry.place, kinds.broken_sinks.get(written) or words.unknown(written), "type")
        return None
    model: type[BaseModel] = SinkKeys
    try:
        model = sink_model(kind)
        keys = model.model_validate(entry.value, context=secrets)
    except TypeError as error:
        faults.add(entry.place, f"this kind of sink is broken, report it to its author: {error}", "type")
        return None
    except ValidationError as error:
        faults.add_findings(entry.place, error, model)
        return None
    sink: Sink | None = build_or_fault(kind, keys, entry.place, faults)
    return sink
