"""Where a running agent is reached, for commands on the same machine."""

from __future__ import annotations

from pathlib import Path

from monitor import address
from monitor.config.model import AgentSettings
from monitor.store.holder import holder


def address_of(settings: AgentSettings) -> str:
    """By the configuration."""
    listen = settings.listen
    host = "127.0.0.1" if listen.host in ("", "0.0.0.0", "::") else listen.host  # noqa: S104  (asked, not bound)
    return f"http://[{host}]:{listen.port}" if ":" in host else f"http://{host}:{listen.port}"


def address_told(directory: Path) -> str:
    """As the agent that holds this state directory has written it down, whose `listen` may have been changed since;
    empty where none runs."""
    return address.told(directory) if is_held(directory) else ""


def is_held(directory: Path) -> bool:
    """Whether an agent runs there: what one that was killed has written down may be somebody else's address now."""
    try:
        return holder(directory) is not None
    except OSError:  # it is not ours to read
        return False
