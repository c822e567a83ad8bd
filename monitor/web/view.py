"""What the web shows, as ports: it reads and never changes anything; and where it hands what arrives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from monitor.clock import Clock
from monitor.core.deploys import Deploy
from monitor.core.history import Past, Point, Sample, Span
from monitor.core.maintenance import Window
from monitor.core.model import Incident
from monitor.core.silences import Silence
from monitor.core.world import World
from monitor.hooks import Hook
from monitor.invitations import Invitations
from monitor.presence import Listener
from monitor.telemetry import Telemetry
from monitor.tokens import Token
from monitor.web.feed import Feed
from monitor.web.health import Health
from probes.contract import Presence


class Records(Protocol):
    """What the web needs of a store."""

    async def incidents(self, limit: int) -> list[Incident]: ...

    async def incident(self, identity: str) -> Incident | None: ...

    async def events(self, limit: int) -> list[Mapping[str, Any]]: ...

    async def incident_events(self, identity: str, limit: int) -> list[Mapping[str, Any]]: ...

    async def events_after(self, event: str, limit: int) -> list[Mapping[str, Any]] | None: ...

    async def transitions(self, kind: str, subject: str, limit: int, before: int | None = None) -> list[Past]: ...

    async def states(self, kind: str, subject: str, since: datetime, until: datetime) -> list[Span]: ...

    async def samples(self, check: str, since: datetime, until: datetime) -> list[Sample]: ...

    async def rollup(
        self, check: str, since: datetime, until: datetime, step: timedelta | None = None
    ) -> list[Point]: ...


@dataclass(frozen=True, slots=True)
class Post:
    """What becomes of what arrives for a passive probe: `keep` has the memory of a check (by its id) in the journal,
    or says False when that is not possible soon; `ask` has it looked at. Once it is not `open` any more, nothing
    would be kept, so nothing is taken."""

    presence: Callable[[], Presence]
    keep: Callable[[str], Awaitable[bool]]
    ask: Callable[[str], None]
    open: Callable[[], bool] = lambda: True
    heard: Callable[[Listener], None] = lambda _: None
    """Told where something was sent that a check has taken."""


@dataclass(frozen=True, slots=True)
class Steering:
    """`config` tells what is in force, as JSON; `reload` has the file read again and tells what became of it, None
    when the agent stops before."""

    config: Callable[[], Mapping[str, Any]]
    reload: Callable[[], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Doors:
    """Where scripts mark deploys, and where vendors and links in messages come in by a signature. `mark` is told what
    is asked, by whom, and a key for what may come again; it tells what was marked, and whether that is new. It raises
    `ValueError`, whose text is for whoever asks. `acknowledge` is told an incident and by whom, and tells whether it
    is open."""

    hooks: Callable[[], Iterable[Hook]]
    mark: Callable[[Mapping[str, Any], str, str], Awaitable[tuple[Deploy, bool]]]
    acknowledge: Callable[[str, str], Awaitable[bool]]
    invitations: Invitations


class Announcements(Protocol):
    """Where maintenance goes that somebody announces."""

    async def begin(self, asked: Mapping[str, Any], by: str) -> Window:
        """From now on, as it is asked for. Raises `ValueError`, whose text is for whoever asks."""

    async def end(self, identity: str) -> bool:
        """Before its time; whether there was one."""


class Silencing(Protocol):
    """Where silences go that somebody asks for."""

    async def begin(self, asked: Mapping[str, Any], by: str) -> Silence:
        """From now on. Raises `ValueError`, whose text is for whoever asks."""

    async def end(self, identity: str) -> bool:
        """Before its time; whether there was one."""


class Acting(Protocol):
    """Where it is said that actions are stopped, and started, by somebody."""

    async def stop(self, by: str) -> int:
        """None is taken any more, and what runs is ended: how many ran."""

    async def start(self, by: str) -> None: ...


Deed = Callable[[str, Mapping[str, Any], str], Awaitable[bool]]
"""Something that is done about an incident (its id), as it is asked for, by somebody; whether it is open. Raises
`ValueError`, whose text is for whoever asks."""


class Responses(Protocol):
    """Where it goes what people do about open incidents."""

    @property
    def acknowledge(self) -> Deed: ...

    @property
    def snooze(self) -> Deed: ...

    @property
    def note(self) -> Deed: ...


class Mail(Protocol):
    """What is asked of the sinks. All but `test` raise `StoreError`."""

    async def all(self) -> list[dict[str, Any]]: ...

    async def dead(self, limit: int) -> list[dict[str, Any]]:
        """The newest first."""

    async def replay(self, event: str | None, sink: str | None) -> int:
        """How many dead letters are sent again."""

    async def test(self, name: str) -> dict[str, Any]:
        """What became of a marked event. Raises `LookupError`."""


class Playing(Protocol):
    """Where drills go that somebody asks for."""

    async def begin(self, asked: Mapping[str, Any], by: str) -> Mapping[str, Any]:
        """How it goes. Raises `ValueError`, whose text is for whoever asks."""

    def course(self, identity: str) -> Mapping[str, Any] | None:
        """How it goes now; None: there is none."""


@dataclass(frozen=True, slots=True)
class View:
    """`world` and `health` are asked anew for every answer: a reload brings another world."""

    world: Callable[[], World]
    records: Records
    telemetry: Telemetry
    health: Callable[[], Health]
    clock: Clock
    version: str
    vantage: str
    started: datetime
    listen_host: str
    public_url: str | None = None
    redact: Callable[[Any], Any] = lambda value: value
    """Takes secrets out of a tree of JSON values; every text that is not a word of ours passes through it."""
    post: Post | None = None
    """None: nothing is taken in."""
    tokens: Callable[[], Iterable[Token]] = tuple
    """Asked anew for each request: a reload brings others."""
    protected: Callable[[], bool] = lambda: False
    """Whether reading needs a token with the scope `read`."""
    feed: Feed | None = None
    """Where committed events go, for those who follow them; None: nobody publishes any."""
    announcements: Announcements | None = None
    silencer: Silencing | None = None
    """None: nobody may announce anything."""
    responses: Responses | None = None
    """None: nobody may do anything about incidents."""
    mail: Mail | None = None
    """None: there is nobody to send anything."""
    acting: Acting | None = None
    """None: nothing is done by itself."""
    drills: Playing | None = None
    """None: nobody may play any."""
    doors: Doors | None = None
    """None: nobody may do that."""
    steering: Steering | None = None
    """None: what is in force stays so."""
