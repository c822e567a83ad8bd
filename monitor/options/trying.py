"""Judging anew: what would have been sent, and what would change."""

from __future__ import annotations

from pathlib import Path

from monitor.options._shared import Add, take_json


def trying(add: Add) -> None:
    replay = add("replay", "judge the recorded looks again, and tell what would have been sent")
    replay.add_argument(
        "looks", metavar="FILE.jsonl", nargs="?",
        help="recorded looks as JSON lines (brownout export), - for standard input; else the agent's own history",
    )  # fmt: skip
    replay.add_argument(
        "--config",
        type=Path,
        metavar="CONFIG",
        help="judge all by this (what was in force then; of FILE.jsonl: checks.yaml, or the installed one)",
    )
    replay.add_argument("--state-dir", type=Path, metavar="DIR", help="read this state directory (what CONFIG says)")
    replay.add_argument(
        "--check", dest="checks", action="append", default=[], metavar="NAME", help="only this check; may be repeated"
    )
    replay.add_argument("--since", metavar="WHEN", help="so long ago, or a time (7d; of FILE.jsonl: all)")
    replay.add_argument("--until", metavar="WHEN", help="so long ago, or a time (now)")
    replay.add_argument("--all", action="store_true", help="show every message, not only the last 30")
    take_json(replay)

    plan = add("plan", "what a reload of another file would change, and which open incidents it touches")
    plan.add_argument("new", metavar="NEW", type=Path, help="the configuration to come")
    plan.add_argument(
        "--current", type=Path, metavar="FILE", help="the one in force (checks.yaml, or /etc/brownout/checks.yaml)"
    )
    plan.add_argument("--state-dir", type=Path, metavar="DIR", help="the agent's state directory (what FILE says)")
    take_json(plan)
