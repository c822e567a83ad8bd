"""A replay gathers the changes by the figures of the configuration that it tries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from monitor.core.lived import always
from monitor.core.model import Flapping, Look
from monitor.replay import Replay
from probes.contract import Reason
from tests.core.builders import check, look, moment, world

HOUR = timedelta(hours=1)


def lived() -> Iterator[Look]:
    """Down and up again five times, five minutes apart."""
    yield look(0)
    for begin in range(100, 1600, 300):
        yield from (look(begin + second, fails=Reason.REFUSED) for second in range(3))
        yield from (look(begin + 10 + second) for second in range(12))


@pytest.mark.parametrize(
    ("policy", "opened"),
    [(None, 5), (Flapping(), 3), (Flapping(2, HOUR, HOUR / 2), 2), (Flapping(6, HOUR, HOUR / 2), 5)],
)
def test_what_would_have_been_opened(policy: Flapping | None, opened: int) -> None:
    again = Replay(always(world(check(flapping=policy)).plan))
    changes = [happened.change for item in lived() for happened in again.take(item)]
    changes += [happened.change for happened in again.finish(moment(10_000).at)]
    events = [event.type.value for change in changes for event in change.events]
    assert events.count("incident.opened") == events.count("incident.resolved") == opened
