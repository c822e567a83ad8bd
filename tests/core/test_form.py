"""Moments, and the form in which looks are kept: what is worked out once and asked for at each look."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.baseline import hour_and_minute, hour_of
from monitor.core.contacts import Contacts
from monitor.core.form import _LAYOUTS, form_of
from monitor.core.model import Look, Moment
from probes.contract import Observation
from tests.core.builders import above, check
from tests.core.builders import moment as at

BEGAN = datetime(2026, 1, 1, 12, 30, 0, 123456, UTC)


def test_a_moment_is_the_same_by_its_date_and_by_its_microseconds() -> None:
    by_date = Moment(BEGAN, 7.5)
    by_micros = Moment(by_date.micros, 7.5)
    assert by_micros.at == by_micros.at == BEGAN
    assert by_date == by_micros
    assert hash(by_date) == hash(by_micros)
    assert repr(by_date) == repr(by_micros)
    assert "2026, 1, 1, 12, 30" in repr(by_micros)
    assert by_date != Moment(BEGAN, 7.6) != Moment(BEGAN + timedelta(microseconds=1), 7.6)
    assert by_date != "noon"


@given(st.integers(0, 4 * 10**15))
def test_the_hour_of_the_week_needs_no_date(micros: int) -> None:
    now = Moment(micros, 0.0)
    assert hour_and_minute(now) == (hour_of(now.at), now.at.minute)


def test_checks_that_are_alike_share_one_form_and_another_definition_has_its_own() -> None:
    one, other = check("one"), check("other")
    assert form_of(one) is form_of(other)
    changed = replace(one, every=timedelta(seconds=5))
    assert (form_of(one).step, form_of(changed).step) == (100, 10)
    assert one == check("one"), "what was found out of it is no part of it"


def test_phases_are_kept_where_a_threshold_names_them() -> None:
    named = replace(above(1.0), measurement="connect_time")
    phases, figures = ("connect", "tls"), ("response_time", "connect_time", "tls_time", "body_size")
    assert form_of(check("home", named)).kept(phases, figures) == ("response_time", "connect_time", "body_size")
    assert form_of(check("home")).kept(phases, figures) == ("response_time", "body_size")
    assert form_of(check("home")).kept((), figures) == figures


def test_a_probe_with_other_names_at_each_look_fills_nothing() -> None:
    form = form_of(check("home"))
    for number in range(3 * _LAYOUTS):
        assert form.kept((), (f"figure {number}",)) == (f"figure {number}",)
    assert len(form._layouts) <= _LAYOUTS


def test_no_address_is_dead_before_one_was_closed() -> None:
    look = Look("home", Observation(evidence={"address": "192.0.2.1:80"}), at(0), at(1))
    assert not Contacts().dead(look)
