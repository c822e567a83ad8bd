"""Arguments that several commands take alike."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Add = Callable[[str, str], argparse.ArgumentParser]
"""Adds a command, told its name and what it does."""

_FILES = "checks.yaml, or /etc/brownout/checks.yaml"


def take_file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        help=f"the configuration ({_FILES})",
    )


def take_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="output for machines")


def take_agent(command: argparse.ArgumentParser, scope: str) -> None:
    command.add_argument(
        "--config", type=Path, metavar="CONFIG", help=f"the file of the agent that is asked ({_FILES})"
    )
    take_address(command, scope)
    take_json(command)


def take_address(command: argparse.ArgumentParser, scope: str) -> None:
    command.add_argument("--url", default="", help="where the agent listens (what its file says)")
    command.add_argument(
        "--token-file",
        type=Path,
        metavar="TOKEN",
        help=f"a file with a token of agent.tokens that has the scope {scope} (else $BROWNOUT_TOKEN)",
    )


def take_state(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, metavar="CONFIG", help="the configuration that names the state_dir")
    command.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="the agent's state_dir, without a configuration"
    )
