"""Signals that come before there is a loop to handle them, and those that mean nothing here.

By the system's default each of them would end the agent without a word.
"""

from __future__ import annotations

import signal

MEANINGLESS = (signal.SIGUSR1, signal.SIGUSR2)
"""What scripts for rotating logs send to other daemons."""


class Hangup:
    """Remembers a SIGHUP until the agent can reload: the file may have been read before it was changed."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, *_signal: object) -> None:
        self.came = True


def keep_signals() -> None:
    """From here on no signal that asks for a reload, or for nothing, ends this process."""
    signal.signal(signal.SIGHUP, Hangup())
    for number in MEANINGLESS:
        signal.signal(number, _pass)  # SIG_IGN would be handed down to plug-ins


def early_hangup() -> Hangup:
    """What `keep_signals` has put in place; another one where it was not called."""
    found = signal.getsignal(signal.SIGHUP)
    return found if isinstance(found, Hangup) else Hangup()


def _pass(*_signal: object) -> None:
    pass
