"""`brownout drill outage SERVICE`: play an incident through a running agent's live path, and see who is reached."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from monitor.commands._agent import asked, write
from monitor.commands._asking import NotAsked, bearer, detail_of, document_of, request
from monitor.commands._common import FINDING, FINE, print_json
from monitor.config.units import parse_duration
from monitor.sinks.console import harmless

PATH = "/api/v1/drills"
POLL = 0.3
"""Seconds between two questions how it goes."""
GRACE = 60.0
"""Seconds after its end in which sinks may still be reached."""


def execute(options: Namespace) -> int:
    def play(client: httpx.Client, url: str, token: str) -> int:
        return _play(client, url, token, options)

    return asked(options, PATH, play, writes=True, manual="drill.md")


def _play(client: httpx.Client, url: str, token: str, options: Namespace) -> int:
    sinks = [name for text in options.sinks for name in text.split(",") if name]
    impact = "degradation" if options.what == "degradation" else "outage"
    body = {"service": options.service, "impact": impact, "for": options.lasts, "sinks": sinks}
    course = write(client, url, token, body, "told", httpx.codes.CREATED)
    account = Account(course["opened"], quiet=options.json)
    account.take(course)
    for latest in _followed(client, f"{url}/{course['id']}", token, options.lasts):
        account.take(latest)
        course = latest
    if options.json:
        print_json(course)
    else:
        print(account.verdict(course))
    return FINE if account.reached(course) else FINDING


def _followed(client: httpx.Client, url: str, token: str, lasts: str) -> Iterator[Mapping[str, Any]]:
    """How it goes, again and again, until all are reached, or a minute after its end."""
    ends = time.monotonic() + parse_duration(lasts).total_seconds() + GRACE
    while time.monotonic() < ends:
        time.sleep(POLL)
        answer = request(client, "GET", url, bearer(token))
        if answer.status_code != httpx.codes.OK:
            raise NotAsked(f"the agent does not tell how the drill goes: {detail_of(answer)}")
        course = document_of(answer, "told", url)
        yield course
        if course["over"] and not course["owed"]:
            return


@dataclass(slots=True)
class Account:
    """What was printed of a drill so far."""

    opened: str
    quiet: bool = False
    events: dict[str, str] = field(default_factory=dict)
    """What was told, in a word, by the event's id."""
    attempts: int = 0

    def take(self, course: Mapping[str, Any]) -> None:
        """Print what is new."""
        for told in course["told"][len(self.events) :]:
            self.events[told["event"]] = word = _word(told)
            whose = f"by {told['update']['by']}, " if word == "acknowledged" else ""
            self._line(told["at"], word, f"{whose}for {', '.join(told['sinks']) or _nobody(course, word)}")
        for attempt in course["attempts"][self.attempts :]:
            self.attempts += 1
            self._line(attempt["at"], "", f"{attempt['sink']} {self._outcome(attempt)}")

    def reached(self, course: Mapping[str, Any]) -> bool:
        """Whether somebody was told, and each of them took everything."""
        told = any(told["sinks"] for told in course["told"])
        return bool(told and not course["owed"] and not _refused(course))

    def verdict(self, course: Mapping[str, Any]) -> str:
        if self.reached(course):
            given = course["acknowledged"]
            by = f" {given['by']} has acknowledged it: no further step was taken." if given else ""
            return harmless(f"Every sink was reached.{by}")
        if refused := _refused(course):
            return harmless(f"Not reached: {', '.join(refused)}. Nothing real was told to anybody.")
        if owed := sorted({row["sink"] for row in course["owed"]}):
            return harmless(f"Not reached so far: {', '.join(owed)}. The agent goes on trying.")
        return "Nobody was told: no route takes an incident like this one."

    def _outcome(self, attempt: Mapping[str, Any]) -> str:
        what, took = self.events.get(attempt["event"], "an event"), f"{attempt['seconds'] * 1000:.0f} ms"
        match attempt["outcome"]:
            case "accepted":
                return f"has taken {what}, in {took}"
            case "retried":
                return f"has not taken {what} ({attempt['error']}): it is tried again"
            case _:
                return f"has refused {what} ({attempt['error']}): it is given up"

    def _line(self, at: str, word: str, text: str) -> None:
        if not self.quiet:
            since = (datetime.fromisoformat(at) - datetime.fromisoformat(self.opened)).total_seconds()
            print(f"{since:+8.1f} s  {harmless(word) or '-':<12} {harmless(text)}", flush=True)


def _word(told: Mapping[str, Any]) -> str:
    update = told["update"]
    return str(update["kind"] if update else told["type"].removeprefix("incident."))


def _nobody(course: Mapping[str, Any], word: str) -> str:
    """Why nobody is told this."""
    if course["only"]:
        return f"nobody: this drill is for {', '.join(course['only'])} only"
    return {"opened": "nobody: no route takes it", "escalated": "nobody: nobody stands there now"}.get(word, "nobody")


def _refused(course: Mapping[str, Any]) -> list[str]:
    return sorted({row["sink"] for row in course["attempts"] if row["outcome"] == "dead"})
