"""Is it me? What the guard makes of witnesses that answer or do not, and of targets that fail or do not."""

from __future__ import annotations

from monitor.core.model import Look
from monitor.core.vantage import LATELY, NETWORKS_KEPT, Guard, Opinion, Rank
from probes.contract import Reason
from tests.core.builders import look, moment

ONE, TWO, GATEWAY = "192.0.2.1:53", "192.0.2.2:53", "10.0.0.1"


def guard(*names: str, at: float = 0.0) -> Guard:
    """With witnesses that have just answered."""
    made = Guard([(name, Rank.LINK if name == GATEWAY else Rank.UPLINK) for name in names], moment(at))
    for name in names:
        made.answered(name, moment(at))
    return made


def failing(at: float) -> Look:
    return look(at, fails=Reason.CONNECT_TIMEOUT)


def silence(guard: Guard, *names: str, since: float, rounds: int = 3) -> None:
    for number in range(rounds):
        for name in names:
            guard.silent(name, moment(since + number / 2))


def lost(*names: str, at: float = 10.0) -> Guard:
    made = guard(*names)
    made.opinion(failing(at))
    made.failed("net", failing(at))
    silence(made, *names, since=at)
    assert made.lost is not None
    return made


def test_without_a_witness_it_is_theirs() -> None:
    assert Guard([], moment(0)).opinion(failing(10)) is Opinion.THEIRS
    silent_ever_since = Guard([(ONE, Rank.UPLINK)], moment(0))
    assert silent_ever_since.opinion(failing(10)) is Opinion.THEIRS


def test_a_witness_that_answers_a_later_question_makes_it_theirs() -> None:
    watching = guard(ONE, TWO)
    assert not watching.watchful
    assert watching.opinion(failing(10)) is Opinion.OPEN
    assert watching.watchful
    watching.silent(ONE, moment(10))
    watching.answered(TWO, moment(9.9))
    assert watching.opinion(failing(10)) is Opinion.OPEN, "that was asked before"
    watching.answered(TWO, moment(10.1))
    assert watching.opinion(failing(10)) is Opinion.THEIRS
    assert not watching.watchful
    assert watching.opinion(failing(11)) is Opinion.OPEN, "each look needs an answer of its own"


def test_all_witnesses_silent_make_it_ours_from_the_first_failure_on() -> None:
    watching = guard(ONE, TWO, at=5)
    watching.opinion(failing(10))
    silence(watching, ONE, since=10)
    assert watching.opinion(failing(10)) is Opinion.OPEN, "the other one may answer yet"
    silence(watching, TWO, since=10)
    assert watching.opinion(failing(10)) is Opinion.OURS
    assert watching.lost == moment(10), "what came before was vouched for"
    assert watching.why == f"neither {ONE} nor {TWO} answers"
    assert watching.opinion(failing(12)) is Opinion.OURS


def test_one_lost_question_is_no_network_that_is_gone() -> None:
    watching = guard(ONE)
    watching.opinion(failing(10))
    for _ in range(5):
        watching.silent(ONE, moment(10.2))
    assert watching.lost is None, "a burst of a moment"
    watching.silent(ONE, moment(11.2))
    assert watching.lost is not None
    assert watching.why == f"{ONE} does not answer either"


def test_a_silence_that_is_older_than_the_last_answer_tells_nothing() -> None:
    watching = guard(ONE, at=10)
    watching.opinion(failing(11))
    silence(watching, ONE, since=8)
    assert watching.lost is None


def test_silence_alone_is_nothing_while_no_target_fails() -> None:
    watching = guard(ONE)
    silence(watching, ONE, since=10, rounds=9)
    assert not watching.watchful
    assert watching.counts(ONE, 1000.0 + LATELY)
    assert not watching.counts(ONE, 1000.1 + LATELY)


def test_references_decide_and_not_the_gateway() -> None:
    watching = guard(ONE, GATEWAY)
    watching.opinion(failing(10))
    watching.answered(GATEWAY, moment(10.1))
    assert watching.opinion(failing(10)) is Opinion.OPEN
    silence(watching, ONE, since=10)
    assert watching.opinion(failing(10)) is Opinion.OURS
    watching.answered(GATEWAY, moment(20))
    watching.answered(GATEWAY, moment(22))
    assert watching.lost is not None


def test_the_gateway_decides_where_no_reference_counts() -> None:
    assert lost(GATEWAY).why == f"{GATEWAY} does not answer either"


def test_many_witnesses_are_counted_and_not_listed() -> None:
    assert lost("a", "b", "c").why == "none of 3 witnesses answers"


def test_it_is_over_after_two_answers_and_looks_within_it_stay_ours() -> None:
    watching = lost(ONE, TWO)
    watching.answered(ONE, moment(20))
    assert watching.lost is not None
    watching.answered(ONE, moment(20.5))
    watching.answered(ONE, moment(21))
    assert watching.lost is None
    assert watching.why == ""
    assert watching.opinion(look(20.9, took=5.0, fails=Reason.CONNECT_TIMEOUT)) is Opinion.OURS
    assert watching.void(look(20.9, took=0.5))
    assert not watching.void(look(21.1))
    assert watching.opinion(failing(22)) is Opinion.OPEN


def test_a_target_that_answers_shows_that_the_network_is_there() -> None:
    watching = guard(ONE)
    watching.opinion(failing(10))
    watching.succeeded("other", look(9.9, took=0.2), far=True)
    assert watching.opinion(failing(10)) is Opinion.OPEN, "it was asked before"
    watching.succeeded("other", look(10.1), far=True)
    assert watching.opinion(failing(10)) is Opinion.THEIRS


def test_five_networks_that_fail_together_outvote_the_few_that_answer() -> None:
    watching = guard(ONE)
    watching.opinion(failing(10))
    for number in range(5):
        watching.failed(f"net {number}", failing(10))
    watching.succeeded("other", look(10.1), far=True)
    assert watching.opinion(failing(10)) is Opinion.OPEN
    watching.answered(ONE, moment(10.2))
    assert watching.opinion(failing(10)) is Opinion.THEIRS, "the reference answers: it is them, however many"


def test_when_targets_answer_again_it_was_the_witnesses_that_had_gone() -> None:
    watching = lost(ONE)
    for number in range(3):
        watching.succeeded("net", look(12 + number), far=True)
    assert watching.lost is not None, "the last failure is too near"
    watching.failed("net", failing(15))
    for number in range(3):
        watching.succeeded("net", look(20 + number), far=True)
    assert watching.lost is None
    assert watching.opinion(failing(30)) is Opinion.THEIRS, "the witness does not count until it answers"
    watching.answered(ONE, moment(31))
    assert watching.opinion(failing(32)) is Opinion.OPEN


def test_after_a_restart_the_loss_goes_on_until_a_witness_answers() -> None:
    watching = Guard([(ONE, Rank.UPLINK)], moment(0), lost=moment(-60))
    assert watching.opinion(failing(1)) is Opinion.OURS
    watching.answered(ONE, moment(2))
    watching.answered(ONE, moment(3))
    assert watching.lost is None
    assert watching.opinion(failing(4)) is Opinion.OPEN


def test_a_doubt_that_is_given_up_is_judged_without_witnesses() -> None:
    watching = guard(ONE)
    watching.opinion(failing(10))
    watching.give_up()
    assert not watching.watchful


def test_a_target_next_door_shows_nothing_of_those_that_fail() -> None:
    watching = guard(ONE)
    watching.opinion(failing(10))
    watching.failed("net", failing(10))
    watching.succeeded("lan", look(10.1), far=False)
    watching.succeeded("net", look(10.1), far=False)
    assert watching.opinion(failing(10)) is Opinion.OPEN
    silence(watching, ONE, since=10)
    for number in range(9):
        watching.succeeded("lan", look(20 + number), far=False)
    assert watching.lost is not None
    for number in range(3):
        watching.succeeded("net", look(30 + number), far=False)
    assert watching.lost is None, "what had failed answers"


def cut(watching: Guard, since: float, until: float, problem: str = "eth0 has no carrier") -> None:
    for number in range(int(until - since)):
        watching.link(problem, moment(since + number))


def test_where_nobody_counts_the_way_to_the_gateway_tells() -> None:
    watching = Guard([(ONE, Rank.UPLINK)], moment(0))
    watching.link("", moment(50))
    watching.link("eth0 has no carrier", moment(51))
    assert watching.opinion(failing(51.5)) is Opinion.THEIRS, "seen once: it may be over"
    watching.link("eth0 has no carrier", moment(52))
    assert watching.opinion(failing(52.5)) is Opinion.OURS
    assert watching.lost == moment(40), "the kernel may have noticed late"
    assert watching.why == "eth0 has no carrier"
    watching.link("", moment(60))
    assert watching.lost is not None, "it must hold"
    watching.link("", moment(61))
    assert watching.lost is None
    assert watching.opinion(failing(62)) is Opinion.THEIRS


def test_a_cut_that_nobody_suffers_from_is_none() -> None:
    watching = Guard([], moment(0))
    cut(watching, 10, 20)
    watching.link("", moment(20))
    assert watching.lost is None


def test_a_reference_that_answers_outweighs_the_way_to_the_gateway() -> None:
    watching = guard(ONE)
    cut(watching, 5, 9)
    assert watching.opinion(failing(10)) is Opinion.OPEN
    watching.answered(ONE, moment(10.1))
    assert watching.opinion(failing(10)) is Opinion.THEIRS


def test_a_cut_is_said_with_the_silence() -> None:
    watching = guard(ONE)
    cut(watching, 5, 9)
    watching.opinion(failing(10))
    silence(watching, ONE, since=10)
    assert watching.why == f"{ONE} does not answer either; eth0 has no carrier"
    watching.link("", moment(20))
    watching.link("", moment(30))
    assert watching.lost is not None, "its witness ends it"


def test_who_answers_counts_and_was_not_silent_since() -> None:
    watching = guard(ONE)
    assert watching.answers(ONE, moment(1).tick)
    watching.silent(ONE, moment(2))
    assert not watching.answers(ONE, moment(2).tick)
    assert not watching.answers(ONE, moment(100).tick)


def test_who_had_answered_the_agent_before_counts_at_the_start() -> None:
    watching = Guard([(ONE, Rank.UPLINK), (TWO, Rank.UPLINK)], moment(0), known=(ONE,))
    assert watching.opinion(failing(1)) is Opinion.OPEN
    silence(watching, ONE, since=1)
    assert watching.opinion(failing(1)) is Opinion.OURS


def test_a_loss_from_before_the_restart_that_no_witness_can_end_ends_with_the_way_to_the_gateway() -> None:
    nobody_ever = Guard([(GATEWAY, Rank.LINK)], moment(0), lost=moment(-60))
    assert nobody_ever.opinion(failing(0.5)) is Opinion.OURS
    nobody_ever.link("", moment(0.5))
    assert nobody_ever.lost is not None, "it must hold"
    nobody_ever.link("", moment(1))
    assert nobody_ever.opinion(failing(2)) is Opinion.THEIRS
    for witness in (Guard([(GATEWAY, Rank.LINK)], moment(0), lost=moment(-60), known=(GATEWAY,)),
                    Guard([(ONE, Rank.UPLINK)], moment(0), lost=moment(-60))):  # fmt: skip
        witness.link("", moment(5))
        assert witness.lost is not None, "somebody can tell"


def test_networks_without_number_fill_no_memory() -> None:
    watching = Guard([], moment(0))
    for number in range(NETWORKS_KEPT + 5):
        watching.failed(str(number), failing(10))
    assert len(watching._targets.failing) == 5
