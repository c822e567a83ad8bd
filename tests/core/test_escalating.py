"""Who is called next while nobody acknowledges: steps, reminders, and what stops them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from monitor.core import escalating, handling
from monitor.core.escalation import Run
from monitor.core.routing import Policy, Route, Term
from tests.core.builders import moment
from tests.core.calling import DOWN, MINUTE, PAGE, SINKS, Called, Rota, home, steps
from tests.core.stories import begun, shop
from tests.core.succeeded import sound


def test_one_after_the_other_is_called_until_all_are() -> None:
    here = home(Route(("chat",), policy=PAGE), Route(("hook",)))
    here.wait(3 * 3600)
    assert here.calls == [
        (5.0, "escalated", ("ann.sms", "chat", "hook")),
        (15.0, "escalated", ("ann.call", "chat", "hook")),
        (30.0, "escalated", ("ann.sms", "bob.sms", "chat", "hook")),
    ]
    assert here.texts == [
        "Nobody has acknowledged it for 5 min: oncall.sms (ann.sms) is told.",
        "Nobody has acknowledged it for 15 min: oncall.call (ann.call) is told.",
        "Nobody has acknowledged it for 30 min: everyone (chat, ann.sms, bob.sms) is told.",
    ]
    assert here.events[-1]["sentence"] == (
        "Home has an outage since 12:00:10 UTC: home: nothing listens on the port. "
        "Nobody has acknowledged it for 30 min: everyone (chat, ann.sms, bob.sms) is told."
    )
    here.heal("home", 10900)
    resolved = here.changes[-1].events[-1]
    assert resolved.type == "incident.resolved"
    assert resolved.sinks == ("ann.call", "ann.sms", "bob.sms", "chat", "hook"), "whoever was called is told the end"
    assert here.notes == {}
    here.done(20_000)
    assert len(here.calls) == 3


def test_who_has_it_is_not_called_after() -> None:
    here = home(Route(("chat",), policy=PAGE))
    here.acknowledge(6 * MINUTE)
    here.wait(3 * 3600)
    assert len(here.calls) == 1
    events = [event for change in here.changes for event in change.events]
    told = [event.sinks for event in events if event.body.get("update", {}).get("kind") == "acknowledged"]
    assert told == [("chat", "ann.sms")], "who was called is told who has it"
    assert here.notes == {}
    assert here.world.next_due is None
    here.heal("home", 10900)
    here.done(20_000)


def test_recovery_ends_it_and_the_next_one_begins_anew() -> None:
    here = home(Route(("chat",), policy=PAGE))
    here.heal("home", 4 * MINUTE)
    here.wait(3600)
    assert here.calls == []
    here.kill("home", 3600)
    here.wait(3602 + 301)
    assert [call[0] for call in here.calls] == [64.8]
    sound(here)


def test_what_was_put_off_begins_anew() -> None:
    here = home(Route(("chat",), policy=PAGE))
    here.wait(6 * MINUTE)
    here.keep(handling.snooze(here.world, here.incident, moment(1800).at, "ann", moment(6 * MINUTE)))
    here.wait(1800 + 301)
    assert here.calls == [
        (5.0, "escalated", ("ann.sms", "chat")),
        (29.8, "reminder", ("ann.sms", "chat")),
        (34.8, "escalated", ("ann.sms", "chat")),
    ]
    sound(here)


def test_reminders_come_less_and_less_often_and_at_least_once_a_day() -> None:
    here = home(Route(("chat",), policy=steps((5, "oncall.sms"), remind=30)))
    here.wait(5 * 86400)
    hours = [round(at / 60, 1) for at, kind, _ in here.calls if kind == "reminder"]
    assert hours == [0.6, 1.6, 3.6, 7.6, 15.6, 31.6, 55.6, 79.6, 103.6]
    assert here.calls[1] == (35.0, "reminder", ("ann.sms", "chat"))
    assert here.calls[2][2] == ("bob.sms", "chat"), "whoever is on call by then"
    assert here.texts[1] == "Nobody has acknowledged it for 35 min."
    sound(here)


def test_a_wait_of_more_than_a_day_stays_what_it_is() -> None:
    policy = steps(remind=3 * 24 * 60)
    assert Run(0.0, 0.0, reminders=40).reminder_due(policy) == 3 * 86400
    assert Run(0.0, 0.0).step_due(policy) == float("inf")


def test_reminders_without_steps() -> None:
    here = home(Route(("mail",), policy=steps(remind=60)))
    here.wait(3.5 * 3600)
    assert here.calls == [(60.0, "reminder", ("mail",)), (180.0, "reminder", ("mail",))]
    here.acknowledge(4 * 3600)
    here.wait(86400)
    assert len(here.calls) == 2


def test_an_outage_is_called_out_by_another_policy_than_a_degradation() -> None:
    routes = (
        Route(("chat",), Term("impact", "outage"), PAGE),
        Route(("chat",), Term("impact", "degradation"), steps((60, "mail"))),
    )
    here = Called(shop(routes=routes))
    here.world.plan = replace(here.world.plan, roster=Rota(), sinks=SINKS)
    begun(here)
    here.kill("search", DOWN - 2)
    here.wait(30 * MINUTE)
    assert here.calls == []
    here.kill("home", 30 * MINUTE)
    here.wait(36 * MINUTE)
    assert [call[1:] for call in here.calls] == [("escalated", ("ann.sms", "chat"))]
    here.heal("home", 36 * MINUTE)
    here.wait(95 * MINUTE)
    assert len(here.calls) == 1, "an hour after it was a degradation again"
    here.wait(97 * MINUTE)
    assert [call[1:] for call in here.calls][1:] == [("escalated", ("chat", "mail"))], "the text message was sent"
    here.kill("home", 100 * MINUTE)
    here.wait(106 * MINUTE)
    assert [call[1:] for call in here.calls][2:] == [("escalated", ("bob.sms", "chat"))], "from the beginning"
    sound(here)


def test_who_has_the_degradation_does_not_keep_others_from_being_called_for_the_outage() -> None:
    here = Called(shop(routes=(Route(("chat",), policy=PAGE),)))
    here.world.plan = replace(here.world.plan, roster=Rota(), sinks=SINKS)
    begun(here)
    here.kill("search", DOWN - 2)
    here.acknowledge(MINUTE)
    here.wait(20 * MINUTE)
    assert here.calls == []
    here.kill("home", 20 * MINUTE)
    here.wait(26 * MINUTE)
    assert [call[1] for call in here.calls] == ["escalated"]


def test_two_routes_with_one_policy_call_once() -> None:
    here = home(Route(("chat",), policy=PAGE), Route(("mail", "chat"), Term("impact", "outage"), policy=PAGE))
    here.wait(6 * MINUTE)
    assert here.calls == [(5.0, "escalated", ("ann.sms", "chat", "mail"))]


def test_two_policies_that_are_due_together_are_one_message() -> None:
    here = home(Route(("chat",), policy=PAGE), Route(("mail",), policy=steps((5, "bob.call"), remind=5)))
    here.wait(6 * MINUTE)
    assert here.calls == [(5.0, "escalated", ("ann.sms", "bob.call", "chat", "mail"))]
    assert here.texts == ["Nobody has acknowledged it for 5 min: oncall.sms (ann.sms) is told; bob.call is told."]
    here.wait(11 * MINUTE)
    assert here.calls[1:] == [(10.0, "reminder", ("bob.call", "mail"))]


def test_behind_a_step_that_nobody_stands_for_the_next_is_taken_at_once() -> None:
    here = home(Route(("chat",), policy=steps((5, "void"), (15, "oncall.call"), (20, "void"))))
    here.wait(16 * MINUTE)
    assert here.calls == [(5.0, "escalated", ("ann.call", "chat"))]
    assert here.texts == ["Nobody has acknowledged it for 5 min: void, oncall.call (ann.call) are told."]
    here.wait(3600)
    assert here.calls[1:] == [(20.0, "escalated", ("chat",))]
    assert here.texts[1:] == ["Nobody has acknowledged it for 20 min: nobody stands for void now."]


def test_what_is_ahead() -> None:
    here = home(Route(("chat",), policy=replace(PAGE, remind=timedelta(hours=1))), Route(("hook",)))
    case = here.world.cases.get(here.incident)
    assert case is not None

    def seen(at: float) -> list[tuple[float, str, tuple[str, ...]]]:
        here.wait(at)
        found = escalating.ahead(here.world, case, moment(at))
        return [((item.at - moment(DOWN).at).total_seconds() / 60, item.kind.value, item.to) for item in found]

    assert seen(60) == [(5.0, "escalated", ("oncall.sms",))]
    assert seen(20 * MINUTE) == [(30.0, "escalated", ("everyone",))]
    assert seen(40 * MINUTE) == [(90.0, "reminder", ("chat", "oncall.sms", "oncall.call", "everyone"))]
    here.succeed(41 * MINUTE, Route(("chat",), policy=Policy()), Route(("mail",), policy=steps((7, "void"))))
    found = escalating.ahead(here.world, case, moment(41 * MINUTE))
    assert [(item.kind.value, item.to) for item in found] == [("escalated", ("void",))]
    here.acknowledge(42 * MINUTE)
    assert seen(42 * MINUTE) == []
