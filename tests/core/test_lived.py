"""Which plan was in force when, and which check a look was at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from monitor.core.judge import Judge
from monitor.core.lived import Definition, Lived, always, just_seen
from monitor.core.model import Check
from monitor.core.plan import Plan
from tests.core.builders import check, look, moment, world


def plan(*checks: Check) -> Plan:
    return world(*checks).plan


HOME, MAIL = check("home"), check("mail")
POST = replace(MAIL, id="post", name="post", service="post", was=("mail",))
QUICK = replace(HOME, every=timedelta(seconds=5))
NEW = check("new")
FIRST, SECOND, THIRD = plan(HOME, MAIL), plan(HOME, POST), plan(QUICK, POST, NEW)
LIVED = Lived(
    [
        Definition(moment(200).at, THIRD, {"home": moment(199.92).tick}),
        Definition(moment(0).at, FIRST),
        Definition(moment(100).at, SECOND, {"home": moment(99.97).tick, "mail": moment(99.93).tick}),
    ]
)


def test_plans_are_in_the_order_of_time() -> None:
    assert LIVED.plans == (FIRST, SECOND, THIRD)
    assert [LIVED.number("home", moment(at)) for at in (-50, 0, 99, 100, 150, 201, 999)] == [0, 0, 0, 1, 1, 2, 2]
    assert always(FIRST).number("home", moment(-9e8)) == 0


def test_a_look_that_bears_a_time_from_just_before_a_plan_is_of_that_plan_if_it_was_judged_after_it() -> None:
    assert [LIVED.number("home", moment(at)) for at in (199.85, 199.92, 199.95)] == [1, 1, 2]
    numbers = {name: LIVED.number(name, moment(199.95)) for name in ("post", "new", "mail", "gone")}
    assert numbers == {"post": 2, "new": 2, "mail": 1, "gone": 1}


def test_a_renamed_check_is_found_under_the_names_that_it_had() -> None:
    assert LIVED.line("post") == (MAIL, POST, POST)
    assert LIVED.line("mail") == (MAIL, None, None)
    assert LIVED.line("new") == (None, None, NEW)
    assert LIVED.line("stranger") == (None, None, None)


def test_a_look_is_at_the_check_of_its_time() -> None:
    post, home, new, mail = map(LIVED.line, ("post", "home", "new", "mail"))
    assert [LIVED.check(post, moment(at)) for at in (50, 99.93, 99.95, 250)] == [MAIL, MAIL, POST, POST]
    assert [LIVED.check(home, moment(at)) for at in (150, 199.92, 199.95, 250)] == [HOME, HOME, QUICK, QUICK]
    assert [LIVED.check(new, moment(at)) for at in (150, 199.95, 250)] == [None, NEW, NEW]
    assert [LIVED.check(mail, moment(at)) for at in (50, 99.95, 150)] == [MAIL, MAIL, None]


def test_what_was_seen_just_before_is_noted() -> None:
    judges = {name: Judge(check(name), None, moment(0)) for name in ("never", "long ago", "just now")}
    judges["long ago"].observe(look(10))
    judges["just now"].observe(look(19.9))
    assert just_seen(judges, moment(20)) == {"just now": moment(19.9).tick}


def test_what_a_plan_has_changed() -> None:
    assert LIVED.changed(1) == ("mail", "post")
    assert LIVED.changed(2) == ("home", "new")
