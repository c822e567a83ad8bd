"""The `agent:` section, with every default resolved."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

from monitor.config.heartbeat import finish_heartbeat
from monitor.config.model import AgentSettings, Limits, Listen, Vantage
from monitor.config.resolving import resolver_wanted
from monitor.config.schema import AgentKeys, HistoryKeys
from monitor.core.history import Retention
from monitor.hooks import Hook
from monitor.tokens import Token

DEFAULT_LISTEN = Listen("127.0.0.1", 9788)


def finish_agent(keys: AgentKeys, env: Mapping[str, str], base: Path) -> AgentSettings:
    """`base` is the folder of the config file: a relative `state_dir` is relative to it."""
    limits, vantage = keys.limits, keys.vantage
    return AgentSettings(
        listen=keys.listen or DEFAULT_LISTEN,
        state_dir=_state_dir(keys.state_dir, env, base),
        vantage=Vantage(
            name=(vantage.name if vantage else None) or platform.node() or "localhost",
            reference=vantage.reference if vantage else (),
        ),
        resolver=resolver_wanted(keys.resolver),
        limits=Limits(limits.looks, limits.looks_per_host) if limits else Limits(),
        history=_retention(keys.history) if keys.history else Retention(),
        public_url=keys.public_url,
        public=keys.public.listen if keys.public else None,
        tokens=tuple(Token.of(name, item.token.reveal(), item.scopes) for name, item in keys.tokens.items()),
        hooks=tuple(
            Hook(name, item.type, item.secret, tuple(item.services), item.environment or "")
            for name, item in keys.hooks.items()
        ),
        protected=keys.protected,
        actions=keys.actions,
        heartbeat=finish_heartbeat(keys.heartbeat),
    )


def _retention(keys: HistoryKeys) -> Retention:
    written = {"raw": keys.raw, "five_minutes": keys.five_minutes, "hourly": keys.hourly}
    return Retention(**{name: kept for name, kept in written.items() if kept is not None})


def _state_dir(written: str | None, env: Mapping[str, str], base: Path) -> Path:
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    if written:
        if written == "~" or written.startswith("~/"):
            return home / written[2:]
        return base / written
    if env.get("STATE_DIRECTORY"):
        return Path(env["STATE_DIRECTORY"].split(":")[0])  # systemd lists several when the unit names several
    if env.get("XDG_STATE_HOME"):
        return Path(env["XDG_STATE_HOME"]) / "brownout"
    return home / ".local" / "state" / "brownout"
