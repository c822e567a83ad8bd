"""The last look of a check takes little room, and is the same look."""

from __future__ import annotations

import math
from dataclasses import replace

from monitor.core.figures import Figures, small
from monitor.core.judge import Judge
from monitor.core.model import Look
from probes.contract import Observation, Reason
from tests.core.builders import check, look, moment


def seen(**phases: float) -> Look:
    told = Observation({"response_time": 0.25, "body_size": 57.0}, None, "", phases, {"status": "200"})
    return Look("home", told, moment(0), moment(1), 10.0, scheduled=False, lateness=0.5)


def test_figures_are_those_they_were_made_of() -> None:
    figures = Figures({"one": 1.0, "two": math.inf})
    assert figures == {"one": 1.0, "two": math.inf}
    assert list(figures.items()) == [("one", 1.0), ("two", math.inf)]
    assert (figures.get("three"), len(figures), repr(figures)) == (None, 2, "{'one': 1.0, 'two': inf}")


def test_a_small_look_is_the_same_look() -> None:
    whole = seen(resolve=0.001, connect=0.25)
    assert small(whole) == whole
    assert small(small(whole)) == whole
    failed = look(5, fails=Reason.REFUSED)
    assert small(failed) == failed


def test_texts_that_many_looks_tell_are_kept_once() -> None:
    told = (replace(seen().observation, evidence={"address": "".join(["192.0.2.1", ":80"])}) for _ in range(2))
    one, other = (small(replace(seen(), observation=item)).observation.evidence for item in told)
    assert one["address"] is other["address"]


def test_a_figure_beyond_all_floats_is_left_as_it_is() -> None:
    whole = seen(wait=10**400)
    assert small(whole) is whole


def test_a_judge_at_rest_goes_on_as_before() -> None:
    judge = Judge(check("home"), None, moment(0))
    judge.rest()
    assert judge.last is None
    first = seen(connect=0.1)
    judge.observe(first)
    judge.rest()
    assert judge.last == first
    assert isinstance(judge.last.observation.phases, Figures)
    assert judge.observe(first).transition is None, "told twice"
