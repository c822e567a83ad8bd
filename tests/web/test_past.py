"""Charts, ribbons and transitions over a real history."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest

from monitor.core.history import Sample
from monitor.core.model import Change, Look, State, Transition, Verdict
from monitor.core.rows import Rows
from probes.contract import Observation, Reason
from tests.core.builders import moment
from tests.web.conftest import Agent
from tests.web.contract import assert_described
from tests.web.made import PASSWORD, at, observation
from tests.web.test_server import assert_problem

HOURS = 3


@pytest.fixture
async def past(agent: Agent) -> Agent:
    """Three hours of looks at `home`, one a minute, slow in the last; it was down for ten minutes of them."""
    agent.clock.at = HOURS * 3600.0
    store = agent.journal.history
    await store.open()
    rows: Rows[str] = Rows()
    check = agent.world.judges["home"].check
    for second in range(0, HOURS * 3600, 60):
        took = 2.0 if second >= 7200 else 0.2
        rows.add("home", check, Look("home", observation(took), moment(second), moment(second + took)), State.UP)
    await store.record(rows, at(HOURS * 3600))
    changes = [
        transition(1, 0, "unknown", "up"),
        transition(2, 3600, "up", "down", f"{PASSWORD} refused"),
        transition(3, 4200, "down", "up"),
    ]
    await store.commit([Change(transitions=tuple(changes))], frozenset())
    return agent


def transition(seq: int, second: float, old: str, new: str, why: str = "") -> Transition:
    verdict = Verdict(State(new), Reason.REFUSED if why else None, why)
    return Transition("check", "home", seq, at(second), at(second), old, new, verdict)


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/api/v1/checks/{name}/chart", "home/chart"),
        ("/api/v1/checks/{name}/chart", "home/chart?span=1h&measurement=body_size"),
        ("/api/v1/checks/{name}/chart", "home/chart?span=400d"),
        ("/api/v1/checks/{name}/chart", "search/chart"),
        ("/api/v1/checks/{name}/chart", "home/chart?measurement=nothing"),
        ("/api/v1/checks/{name}/chart", "home/chart?span=2h"),
        ("/api/v1/checks/{name}/chart", "nothing/chart"),
        ("/api/v1/checks/{name}/findings", "home/findings"),
        ("/api/v1/checks/{name}/findings", "search/findings"),
        ("/api/v1/checks/{name}/findings", "nothing/findings"),
        ("/api/v1/checks/{name}/ribbon", "home/ribbon"),
        ("/api/v1/checks/{name}/ribbon", "search/ribbon?span=90d"),
        ("/api/v1/checks/{name}/ribbon", "nothing/ribbon"),
        ("/api/v1/checks/{name}/transitions", "home/transitions"),
        ("/api/v1/checks/{name}/transitions", "home/transitions?before=0"),
        ("/api/v1/services/{name}/ribbon", "shop/ribbon"),
        ("/api/v1/services/{name}/ribbon", "nothing/ribbon"),
    ],
)
async def test_every_answer_follows_its_schema(past: Agent, path: str, url: str) -> None:
    url = f"{path.partition('{')[0]}{url}"
    status, headers, text = await past.get(url)
    assert_described(path, status, headers["Content-Type"], json.loads(text))
    assert PASSWORD not in text
    assert (await past.get(url, method="HEAD"))[0] == status
    assert_problem(*await past.get(url, method="POST"), expected=405)


async def test_a_chart_of_a_day_and_of_the_last_hour(past: Agent) -> None:
    day = await past.json("/api/v1/checks/home/chart?span=24h")
    assert (day["measurement"], day["unit"], day["step"]) == ("response_time", "seconds", 300.0)
    assert sum(point[1] for point in day["points"]) == HOURS * 60
    assert day["points"][0][0] == at(0).timestamp()
    assert day["points"][0][2] == pytest.approx(0.2, rel=0.02)
    assert day["points"][-1][4] == pytest.approx(2.0, rel=0.02)
    hour = await past.json("/api/v1/checks/home/chart?span=1h")
    assert hour["step"] == 10.0
    assert [point[1] for point in hour["points"]] == [1] * 60
    assert all(point[5] == pytest.approx(2.0, rel=0.02) for point in hour["points"])


async def test_the_last_hour_of_a_fast_check_is_told_to_its_end(past: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten looks a second are more than one answer of the history."""
    monkeypatch.setattr("monitor.web.past.SAMPLES_LIMIT", 7)
    whole = past.journal.samples

    async def paged(check: str, since: datetime, until: datetime) -> list[Sample]:
        return (await whole(check, since, until))[:7]

    monkeypatch.setattr(past.journal, "samples", paged)
    hour = await past.json("/api/v1/checks/home/chart?span=1h")
    assert [point[0] for point in hour["points"]] == [
        round(at(second).timestamp()) for second in range(7200, 10800, 60)
    ]


async def test_percentiles_mean_the_same_in_both_charts(past: Agent) -> None:
    """Ten looks within ten seconds of the last hour: the 95th percentile is between the two slowest."""
    rows: Rows[str] = Rows()
    check = past.world.judges["home"].check
    for turn in range(10):
        second = HOURS * 3600 + 3 + turn / 2
        rows.add(
            "home", check, Look("home", observation(float(turn)), moment(second), moment(second + 0.1)), State.UP
        )
    past.clock.at = HOURS * 3600.0 + 60
    await past.journal.history.record(rows, at(HOURS * 3600 + 60))
    hour = await past.json("/api/v1/checks/home/chart?span=1h")
    assert hour["points"][-1][1:] == [10, 4.5, 4.5, pytest.approx(8.55), 9.0]


async def test_a_ribbon_tells_how_long_each_state_lasted(past: Agent) -> None:
    ribbon = await past.json("/api/v1/checks/home/ribbon")
    assert [span[2] for span in ribbon["spans"]] == ["up", "down", "up"]
    assert ribbon["spans"][1][:2] == [at(3600).timestamp(), at(4200).timestamp()]
    assert ribbon["spans"][1][3] == "*** refused"
    assert ribbon["seconds"]["down"] == 600.0


async def test_transitions_by_pages(past: Agent) -> None:
    first = (await past.json("/api/v1/checks/home/transitions?limit=2"))["transitions"]
    assert [item["new"] for item in first] == ["up", "down"]
    assert first[1]["reason"] == "refused"
    rest = (await past.json(f"/api/v1/checks/home/transitions?before={first[-1]['number']}"))["transitions"]
    assert [item["old"] for item in rest] == ["unknown"]


async def test_where_the_history_cannot_be_read_that_is_said(past: Agent) -> None:
    past.journal.broken = True
    for path in ("checks/home/chart", "checks/home/ribbon", "checks/home/transitions", "services/shop/ribbon"):
        status, headers, text = await past.get(f"/api/v1/{path}")
        assert_problem(status, headers, text, expected=503)
        file = "history" if path.endswith("chart") else "journal"
        assert f"The {file} cannot be read now" in text, "states and transitions are in the journal"


async def test_a_measurement_that_a_check_lacks_names_those_it_has(past: Agent) -> None:
    _, _, text = await past.get("/api/v1/checks/home/chart?measurement=<script>")
    assert "response_time, body_size" in json.loads(text)["detail"]
    assert "script" not in text


async def test_what_is_new_of_a_figure_without_a_threshold(agent: Agent) -> None:
    days = 3
    agent.clock.at = days * 86400.0
    await agent.journal.history.open()
    rows: Rows[str] = Rows()
    check = agent.world.judges["home"].check
    for second in range(0, days * 86400, 600):
        size = 90_000.0 if second >= days * 86400 - 3600 else 5000.0 + second % 7
        seen = Observation({"response_time": 0.2, "body_size": size})
        rows.add("home", check, Look("home", seen, moment(second), moment(second + 1)), State.UP)
    await agent.journal.history.record(rows, at(days * 86400))
    document = await agent.json("/api/v1/checks/home/findings")
    assert_described("/api/v1/checks/{name}/findings", 200, "application/json", document)
    [finding] = document["findings"]
    assert (finding["measurement"], finding["unit"], finding["value"]) == ("body_size", "bytes", 90_000)
    assert finding["why"].startswith("body size 87.9 KiB; in 2 d 23 h it was between 4.88 KiB and 4.89 KiB")


async def test_what_is_usual_is_told_with_the_check(agent: Agent) -> None:
    assert (await agent.json("/api/v1/checks/home"))["usual"] is None
    judge = agent.world.judges["home"]
    judge.redefine(replace(judge.check, usual="response_time"), same_target=True)
    for second in range(0, 4000, 15):
        seen = Observation({"response_time": 0.3})
        agent.world.observe(Look("home", seen, moment(second), moment(second + 1)))
    document = await agent.json("/api/v1/checks/home")
    assert_described("/api/v1/checks/{name}", 200, "application/json", document)
    assert document["usual"]["value"] == pytest.approx(0.3, rel=0.01)
    assert document["usual"]["why"].startswith("usual for Sunday 12:00 UTC is 300 ms ± ")
