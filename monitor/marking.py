"""Deploys that somebody marks: what they say, checked, decided by the world, and in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from monitor.asked import line_of, must_know
from monitor.config.suggest import Vocabulary
from monitor.config.units import zoned
from monitor.core.deploys import MOST, Deploy, mark
from monitor.core.identity import deploy_id
from monitor.core.model import Change, Moment
from monitor.core.world import World
from monitor.deciding import decided
from monitor.pipeline import Pipeline
from monitor.urls import NO_URL, is_link

LONGEST_TEXT, LONGEST_URL = 100, 500
"""Characters."""
MOST_SERVICES = 100
OLDEST = timedelta(days=1)
"""What was deployed before is told by nobody any more."""
BUSY = timedelta(hours=1)
"""In which as many are marked as are remembered, and no more: a script runs wild."""
EARLY = timedelta(minutes=5)
"""By which the clock of whoever deploys may be ahead of ours."""


class Marker:
    """What the API and webhooks hand over. Texts of `ValueError` are for whoever asked."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def mark(self, asked: Mapping[str, Any], by: str, key: str = "") -> tuple[Deploy, bool]:
        """`asked`: ``version``, and ``services``, ``environment``, ``at``, ``by``, ``url``. What was marked, and
        whether that is new: the same deploy, marked twice, is one. `key` names it where it may come again, as of a
        webhook. Raises `ValueError`."""

        def decide(world: World, now: Moment) -> tuple[tuple[Deploy, bool], Change | None]:
            deploy = deploy_of(asked, by, key, world, now)
            known = world.deploys.twin(deploy)
            if known is None and sum(now.at - other.at < BUSY for other in world.deploys) >= MOST:
                raise ValueError(
                    f"{MOST} deploys were marked within an hour, each of which was told to everybody: mark a release "
                    "once, and not on each host"
                )
            return (known or deploy, known is None), mark(world, deploy, now)

        return await decided(self._pipeline, decide)


def deploy_of(asked: Mapping[str, Any], by: str, key: str, world: World, now: Moment) -> Deploy:
    """Raises `ValueError`."""
    must_know(asked, "version", "services", "environment", "at", "by", "url")
    version = _text(asked, "version", LONGEST_TEXT)
    if not version:
        raise ValueError("say which version was deployed, as in v42")
    services = _services(asked.get("services"), world)
    at, who = _at(asked.get("at"), now), _text(asked, "by", LONGEST_TEXT)
    who = f"{who} ({by})" if who and who != by else by
    url = _text(asked, "url", LONGEST_URL)
    if url and not is_link(url):
        raise ValueError(f"url {NO_URL}")
    identity = deploy_id(world.origin, *((key,) if key else (at.timestamp(), version, *services)))
    return Deploy(identity, version, at, services, _text(asked, "environment", LONGEST_TEXT), who, url)


def _text(asked: Mapping[str, Any], key: str, longest: int) -> str:
    return line_of(asked, key, longest).strip()


def _services(named: Any, world: World) -> tuple[str, ...]:
    names = [] if named is None else [named] if isinstance(named, str) else named
    if not isinstance(names, list) or len(names) > MOST_SERVICES:
        raise ValueError(f"services must be the name of a service, or a list of up to {MOST_SERVICES}")
    for place, name in enumerate(names, 1):
        if not isinstance(name, str) or name not in world.plan.services:
            near = Vocabulary("service", world.plan.services).meant(str(name))
            raise ValueError(f"service {place} is none of this agent{near}; brownout status lists them")
    return tuple(dict.fromkeys(names))


def _at(text: Any, now: Moment) -> datetime:
    """In the agent's time: nothing is deployed after now."""
    if text is None:
        return now.at
    at = zoned("at", text)
    if not -EARLY <= now.at - at <= OLDEST:
        raise ValueError("at must be a time within the last 24 hours")
    return min(at.astimezone(now.at.tzinfo), now.at)
