"""``agent.heartbeat``: to whom the agent says that it is alive, so that somebody notices when it is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from monitor.config.fields import Duration, FieldsModel, SecretText
from monitor.config.model import Heartbeat, Ping, Switch
from monitor.urls import NO_URL, is_callable
from probes.contract import Secret

SHORTEST, LONGEST = timedelta(seconds=15), timedelta(days=1)
"""More than five pings a minute may be dropped by Healthchecks."""
DEFAULT_EVERY = timedelta(minutes=1)


def _check_url(url: Secret) -> Secret:
    """The text of its faults does not show it: who knows it can speak in the agent's place."""
    text = url.reveal()
    if not (is_callable(text) and text.isascii() and text.isprintable()):
        raise ValueError(NO_URL)
    return url


def _check_every(every: timedelta | None) -> timedelta | None:
    if every is not None and not SHORTEST <= every <= LONGEST:
        raise ValueError("must be from 15s to 1d")
    return every


_Address = Annotated[SecretText, AfterValidator(_check_url)]
_Every = Annotated[Duration, AfterValidator(_check_every)]


def _key(text: str) -> Any:
    return Field(None, description=text)


class HeartbeatKeys(FieldsModel):
    healthchecks: _Address | None = _key("The ping URL of a check at Healthchecks.io, or of your own Healthchecks")
    betterstack: _Address | None = _key("The URL of a heartbeat at Better Stack")
    honeybadger: _Address | None = _key("The URL of a check-in at Honeybadger")
    url: _Address | None = _key("Any other URL: GET while all is well")
    fail_url: _Address | None = _key("With `url`: GET while the agent is in trouble; without it, it is silent then")
    every: _Every | None = _key("How often (1m); 15s to 1d")

    @model_validator(mode="after")
    def _check(self) -> HeartbeatKeys:
        if self.fail_url is not None and self.url is None:
            raise ValueError("fail_url goes with url: say where to send while all is well")
        if not any(getattr(self, switch.value) for switch in Switch):
            raise ValueError(f"must name at least one of {', '.join(Switch)}")
        return self


def finish_heartbeat(keys: HeartbeatKeys | None) -> Heartbeat | None:
    """The value of the keys; None where nobody is told."""
    if keys is None:
        return None
    given = ((switch, getattr(keys, switch.value)) for switch in Switch)
    return Heartbeat(
        every=keys.every or DEFAULT_EVERY,
        pings=tuple(
            Ping(switch, url, keys.fail_url if switch is Switch.URL else None)
            for switch, url in given
            if url is not None
        ),
    )
