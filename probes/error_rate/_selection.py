"""Which series of a Prometheus text a check wants, and what for: read once a look, remembered by series."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from probes import _promtext
from probes._look import Look, visible
from probes._promtext import Malformed, Sample, Selector, Text
from probes._slices import slices
from probes.contract import TEXT_LIMIT, BadField, LookFailed, Reason, check_fields
from probes.error_rate._baselines import MOST_SERIES

if TYPE_CHECKING:
    from probes.error_rate.probe import ErrorRate

START = "process_start_time_seconds"

# What a series is for stands in the low bits of its key, so that one number says all that must be kept of it.
TOTAL, BAD, BUCKET = 1, 2, 4
_USES = TOTAL | BAD | BUCKET
_LE_SHIFT = 3
_MOST_BOUNDS = 512
_BITS = 12


@dataclass(slots=True)
class Page:
    """What one answer holds for a check."""

    values: dict[int, float] = field(default_factory=dict)
    """By key of the series, which `bound` and the bits above read."""
    bad_at: dict[int, int] = field(default_factory=dict)
    """Where the lines of bad series begin."""
    starts: list[float] = field(default_factory=list)
    """What its processes say about when they started."""
    names: set[str] = field(default_factory=set)
    """The metrics, of those that were asked for, that it has any series of."""
    found: int = 0
    """Which of `TOTAL`, `BAD` and `BUCKET` it has any series of."""

    @property
    def start(self) -> float | None:
        """When its process started; an answer that several have been gathered into has no such time."""
        return self.starts[0] if len(self.starts) == 1 else None


class Selection:
    """The selectors of a check, and what was decided of each series so far (bounded)."""

    def __init__(self, check: ErrorRate) -> None:
        """Raises `BadField`."""
        self._selectors: dict[int, Selector] = {}
        written = ((TOTAL, "total", check.total), (BAD, "bad", check.bad), (BUCKET, "latency", check.latency))
        check_fields(*(partial(self._select, bit, key, text) for bit, key, text in written if text is not None))
        self._decided: dict[int, int] = {}
        self._bounds: list[float] = []
        self._bad_labels_exist = False

    def _select(self, bit: int, key: str, text: str) -> None:
        try:
            found = _promtext.selector(text)
        except ValueError as error:
            raise BadField(key, str(error)) from None
        if bit == BUCKET:
            found = Selector(found.name.removesuffix("_bucket") + "_bucket", found.matchers)
        self._selectors[bit] = found

    def bound(self, key: int) -> float:
        """The upper bound of a bucket."""
        return self._bounds[(key & ((1 << _BITS) - 1)) >> _LE_SHIFT]

    async def read(self, text: Text, look: Look) -> Page:
        """Raises `LookFailed`: `body` for what is no metrics' text, `query` where too much is selected."""
        page = Page()
        names = [each.name for each in self._selectors.values()]
        try:
            async for part in _promtext.samples(text, [*names, START]):
                if look.left() <= 0:
                    raise LookFailed(Reason.LATE, "the agent could not read so large an answer in time")
                async for few in slices(part, 64):
                    self._take(few, page)
        except Malformed as error:
            shown = look.show(error.line.decode("utf-8", "replace"), 120, cut=len(error.line) >= TEXT_LIMIT)
            raise LookFailed(Reason.BODY, f"a line of the metrics is not understood: {shown}") from None
        if not page.found & TOTAL and not _promtext.looks_like_metrics(text):
            start = look.show(text[:TEXT_LIMIT].decode("utf-8", "replace"), 80, cut=len(text) > TEXT_LIMIT)
            raise LookFailed(Reason.BODY, f"this is no text of Prometheus metrics: {start}")
        return page

    def _take(self, part: list[Sample], page: Page) -> None:
        values, decided = page.values, self._decided
        page.names.add(part[0].name)  # a part has lines of one metric
        for name, series, value, at in part:
            if name == START:
                page.starts.append(value)
                continue
            if not 0 <= value < math.inf:
                continue  # NaN, infinite, negative: no counter says that
            mark = hash(series)
            key = decided.get(mark)
            if key is None:
                key = self._decide(name, series, mark)
            if not key:
                continue
            page.found |= key & _USES
            values[key] = value
            if key & BAD:
                page.bad_at[key] = at
        if len(values) > MOST_SERIES:
            raise LookFailed(Reason.QUERY, f"more than {MOST_SERIES:,} series are selected: narrow the selectors")

    def _decide(self, name: str, series: bytes, mark: int) -> int:
        """The key of a series, whatever the order of its labels; 0 when it is not wanted."""
        labels = _promtext.labels(series)
        use = 0
        for bit, selector in self._selectors.items():
            if selector.name == name and selector.accepts(labels):
                use |= bit
        if use & BUCKET:
            use |= self._bound_index(labels.get("le", "")) << _LE_SHIFT
        key = 0
        if use:
            key = (hash((name, frozenset(labels.items()))) << _BITS) | use
        if len(self._decided) >= 2 * MOST_SERIES:
            self._decided.clear()
        self._decided[mark] = key
        return key

    def _bound_index(self, le: str) -> int:
        try:
            bound = float(le)
        except ValueError:
            raise LookFailed(Reason.BODY, "a bucket of the histogram has no number in its label le") from None
        if bound not in self._bounds:
            if len(self._bounds) >= _MOST_BOUNDS:
                raise LookFailed(Reason.QUERY, f"the histogram has more than {_MOST_BOUNDS} different bounds")
            self._bounds.append(bound)
        return self._bounds.index(bound)

    def complain(self, text: Text, page: Page, *, first: bool, young: bool) -> None:
        """Raises `LookFailed` (query) where a selector finds nothing and this can be no accident.

        `first`: nothing was ever found. `young`: the process has started lately and may not have counted anything.
        """
        for bit, key in ((TOTAL, "total"), (BUCKET, "latency")):
            selector = self._selectors.get(bit)
            if selector is None or page.found & bit:
                continue
            if selector.name in page.names:
                if first:
                    raise LookFailed(Reason.QUERY, f"{key}: no series of {selector.name} fits the matchers")
                continue
            longer = _promtext.longer_name(text, selector.name)
            if longer or (not _promtext.declares(text, selector.name) and (first or not young)):
                raise LookFailed(Reason.QUERY, f"{key}: {_absent(selector.name, longer, text)}")

    async def complain_of_bad(self, text: Text) -> None:
        """No series is bad yet, or ever: raises `LookFailed` (query) where a label is meant that no series has."""
        if self._bad_labels_exist:
            return
        selector = self._selectors[BAD]
        known: set[str] = set()
        async for part in _promtext.samples(text, [selector.name]):
            for sample in part[:200]:
                known |= _promtext.labels(sample.series).keys()
        odd = [matcher.label for matcher in selector.matchers if matcher.label not in known]
        if known and odd:
            raise LookFailed(
                Reason.QUERY,
                f"bad: no series of {selector.name} has a label {odd[0]}; there are {', '.join(sorted(known)[:8])}",
            )
        self._bad_labels_exist = bool(known)


def _absent(name: str, longer: str | None, text: Text) -> str:
    near = [longer] if longer else difflib.get_close_matches(name, _promtext.metric_names(text)[:2000], 1)
    return f"the answer has no series {name}" + (f"; did you mean {visible(near[0], 80)}?" if near else "")
