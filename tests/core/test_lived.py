"""Which plan was in force when, and which check a look was at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from monitor.core.lived import Lived, always
from monitor.core.model import Check
from monitor.core.plan import Plan
from tests.core.builders import START, check, moment, world


def plan(*checks: Check) -> Plan:
    return world(*checks).plan


HOME, MAIL = check("home"), check("mail")
POST = replace(MAIL, id="post", name="post", service="post", was=("mail",))
QUICK = replace(HOME, every=timedelta(seconds=5))
FIRST, SECOND, THIRD = plan(HOME, MAIL), plan(HOME, POST), plan(QUICK, POST, check("new"))
LIVED = Lived([(moment(200).at, THIRD), (moment(0).at, FIRST), (moment(100).at, SECOND)])


def test_plans_are_in_the_order_of_time() -> None:
    assert LIVED.plans == (FIRST, SECOND, THIRD)
    assert [LIVED.number("home", moment(at).at) for at in (-50, 0, 99.5, 100, 150, 201, 999)] == [0, 0, 0, 1, 1, 2, 2]
    assert always(FIRST).number("home", START - timedelta(days=9999)) == 0


def test_what_a_new_plan_had_looked_at_at_once_is_of_that_plan() -> None:
    just_before = moment(199.95).at
    numbers = {name: LIVED.number(name, just_before) for name in ("home", "post", "new", "gone")}
    assert numbers == {"home": 2, "post": 1, "new": 2, "gone": 1}
    assert LIVED.number("home", moment(199.8).at) == 1


def test_a_renamed_check_is_found_under_the_names_that_it_had() -> None:
    assert LIVED.line("post") == (MAIL, POST, POST)
    assert LIVED.line("mail") == (MAIL, None, None)
    assert LIVED.line("new") == (None, None, THIRD.checks["new"])
    assert LIVED.line("stranger") == (None, None, None)


def test_a_look_is_at_the_check_of_its_time() -> None:
    post, home, new = LIVED.line("post"), LIVED.line("home"), LIVED.line("new")
    assert [LIVED.check(post, moment(at).at) for at in (50, 99.95, 150, 250)] == [MAIL, POST, POST, POST]
    assert [LIVED.check(home, moment(at).at) for at in (150, 199.95, 250)] == [HOME, QUICK, QUICK]
    assert [LIVED.check(new, moment(at).at) for at in (150, 199.95, 250)] == [None, THIRD.checks["new"]] * 1 + [
        THIRD.checks["new"]
    ]
    assert LIVED.check(LIVED.line("mail"), moment(150).at) is None


def test_what_a_plan_has_changed() -> None:
    assert LIVED.changed(1) == ("mail", "post")
    assert LIVED.changed(2) == ("home", "new")
