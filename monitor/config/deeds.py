"""An action as it is written: what is done, and when. How it is read is `monitor.config.actions`'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

from monitor.core.ruling import Rule
from monitor.sinks.contract import Most
from monitor.urls import NO_URL, is_link
from probes.contract import BadField, Secret

LONGEST_TIMEOUT = timedelta(minutes=10)
LONGEST_SPAN = timedelta(days=30)
MOST_RUNS = 50


@dataclass(frozen=True, slots=True)
class Deed:
    """One action, as it is written; either `run` or `url`."""

    when: Annotated[str, "Of which incidents, as in a route: service = shop and impact = outage; default: all"] = ""
    on: Annotated[tuple[Literal["opened", "updated", "resolved"], ...], "What sets it off, if `when` holds then"] = (
        "opened",
        "updated",
    )
    run: Annotated[tuple[str, ...], "The program and its arguments, as a list; no shell"] = field(
        default=(), repr=False
    )
    url: Annotated[Secret | None, "The URL that is called instead"] = None
    method: Annotated[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], "With `url`: the method"] = "POST"
    headers: Annotated[Mapping[str, Secret], "With `url`: headers; their values are kept secret"] = field(
        default_factory=dict
    )
    body: Annotated[str | None, "With `url`: the body, as it is sent; default: the event"] = field(
        default=None, repr=False
    )
    dry_run: Annotated[bool, "false: it is done. Until then it is only recorded what would have been"] = True
    once: Annotated[bool, "false: more than once for an incident"] = True
    cool_down: Annotated[timedelta, "How long it is not taken again, for whatever incident"] = timedelta(minutes=30)
    at_most: Annotated[Most, "How often it is taken within which time, in all"] = field(
        default=Most(3, timedelta(days=1))
    )
    timeout: Annotated[timedelta, "How long it may take; then it is ended, with all that it has started"] = timedelta(
        seconds=30
    )

    def __post_init__(self) -> None:
        if bool(self.run) is (self.url is not None):
            raise ValueError("must have either run: or url:, which is called")
        if self.run and not self.run[0].startswith("/"):
            raise BadField("run", "must begin with the whole path of the program, such as /usr/local/bin/drain")
        if any("\0" in part for part in self.run):
            raise BadField("run", "holds a NUL character, which no argument can")
        if self.url is None and (self.body is not None or self.headers):
            raise BadField("body" if self.body is not None else "headers", "goes with url:, not with run:")
        if self.url is not None and not is_link(self.url.reveal()):
            raise BadField("url", NO_URL)
        if not self.on:
            raise BadField("on", "names nothing: write opened, updated or resolved, or remove it")
        if not timedelta(seconds=1) <= self.timeout <= LONGEST_TIMEOUT:
            raise BadField("timeout", "must be from 1s to 10m")
        if not timedelta(0) <= self.cool_down <= LONGEST_SPAN:
            raise BadField("cool_down", "must be from 0s to 30d")
        if not (1 <= self.at_most.count <= MOST_RUNS and self.at_most.per <= LONGEST_SPAN):
            raise BadField("at_most", f"must be from 1 to {MOST_RUNS}, per 30d at most")


@dataclass(frozen=True, slots=True)
class Action:
    """One that was read: when it is taken, and what is done then."""

    rule: Rule
    deed: Deed
