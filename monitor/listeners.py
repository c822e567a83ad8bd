"""Where the agent answers: the inner listener, and that for the world, if there is one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial

from monitor.config.model import AgentSettings, Listen
from monitor.presence import Listener
from monitor.start import listening_sockets
from monitor.web import Site, View, application, public_application

_APPLICATIONS = {Listener.INNER: application, Listener.PUBLIC: public_application}


class Listeners:
    """Their sockets, bound at once: what is wrong with an address is found before anything else starts."""

    def __init__(self, settings: AgentSettings) -> None:
        """Raises `StartError`; nothing is bound then."""
        self._hosts: dict[Listener, str] = {}
        self._sockets: dict[Listener, list[socket.socket]] = {}
        try:
            self._bind(Listener.INNER, settings.listen, "agent.listen")
            if settings.public is not None:
                self._bind(Listener.PUBLIC, settings.public, "agent.public.listen")
        except BaseException:
            self.close()
            raise

    def _bind(self, listener: Listener, listen: Listen, key: str) -> None:
        self._sockets[listener] = listening_sockets(listen, key)
        self._hosts[listener] = listen.host

    def close(self) -> None:
        """Once more does nothing."""
        for sockets in self._sockets.values():
            for item in sockets:
                item.close()

    def sites(self, view: View, turned_away: Callable[[Listener], None]) -> tuple[Site, ...]:
        """What is served on them, the inner one first. `turned_away` is told of connections that find no room."""
        return tuple(
            Site(_APPLICATIONS[listener](view), sockets, turned_away=partial(turned_away, listener))
            for listener, sockets in self._sockets.items()
        )

    def urls(self, sites: Sequence[Site]) -> list[str]:
        """Of the pages. The ports are those that were bound: with port 0 the system has chosen one."""
        return [f"http://{host}:{site.port}/" for host, site in zip(self._hosts.values(), sites, strict=True)]
