"""What people do about open incidents."""

from __future__ import annotations

import argparse

from monitor.options._shared import Add, take_agent


def responding(add: Add) -> None:
    incidents = add("incidents", "which incidents are open, who has them, and who is called next; or one in full")
    incidents.add_argument(
        "name", metavar="NAME", nargs="?", help="the beginning of an id, or a service: all that was told of it"
    )
    incidents.add_argument("--limit", type=int, default=20, metavar="N", help="how many at most (%(default)s)")
    take_agent(incidents, "read, where reading is protected")

    ack = add("ack", "take an open incident on, so that nobody else is called for it")
    _take_incident(ack)

    snooze = add("snooze", "put an open incident off: nobody is called for it until then")
    snooze.add_argument("--for", dest="lasts", metavar="SPAN", help="how long, such as 2h; at most 7d")
    snooze.add_argument("--until", metavar="TIME", help="until then, such as 2026-12-01T22:00:00Z")
    _take_incident(snooze)

    note = add("note", "tell all who were told of an open incident something about it")
    note.add_argument("text", metavar="TEXT", nargs="+", help="what to tell, 300 characters at most")
    note.add_argument(
        "--incident", dest="name", metavar="NAME", help="the beginning of its id, or a service (the only one)"
    )
    _take_doer(note)


def _take_incident(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "name", metavar="NAME", nargs="?", help="the beginning of its id, or a service (the only one that is open)"
    )
    _take_doer(command)


def _take_doer(command: argparse.ArgumentParser) -> None:
    command.add_argument("--by", metavar="NAME", help="who does it (the user who calls the command)")
    take_agent(command, "operate")
