"""The keys of checks.yaml as pydantic models: what may be written, of which type. What it means is worked out later.

The models live only while a file is loaded. Their ``description`` texts are the editor's help in the JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from monitor.config.escalation import Escalate
from monitor.config.fields import (
    TEXT_JSON,
    Bool,
    Duration,
    FieldsModel,
    Labels,
    Leaf,
    Listed,
    Name,
    Names,
    SecretText,
    Text,
    Whole,
    choice,
)  # fmt: skip
from monitor.config.flapping import OnOff
from monitor.config.heartbeat import HeartbeatKeys
from monitor.config.hours import HoursText
from monitor.config.model import Limits, Listen
from monitor.config.resolving import WhichIp, WhichResolver
from monitor.config.suggest import shorten
from monitor.config.units import parse_duration
from monitor.core.model import Impact, Policy
from monitor.hooks import Vendor
from monitor.tokens import SHORTEST_TOKEN, TOKEN_FORM, Scope, is_token
from monitor.urls import A_URL, NO_URL, is_link
from probes.contract import Secret

SHORTEST_EVERY = timedelta(milliseconds=100)
SHORTEST_REMIND = timedelta(minutes=1)
SHORTEST_KEPT = timedelta(hours=1)
SHORTEST_TIMEOUT = timedelta(milliseconds=10)
_LONGEST_NAME = 100
"""What ``Authorization: Bearer`` can carry (RFC 6750)."""
_LIMITS = Limits()
_MOST_REFERENCES = 16
"""All are asked twice a second while a failed look waits for one of them."""


def parse_name(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"is {len(text)} characters long: shorten it to {_LONGEST_NAME}")
    if not text.isprintable():
        raise ValueError("holds a control character: remove it")
    return text


def parse_address(text: str, *, lowest_port: int = 1) -> tuple[str, int]:
    """``host:port``, ``[::1]:9788``"""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise ValueError(f'"{shorten(text)}" is not an address: write host:port, such as 127.0.0.1:9788')
    if not lowest_port <= int(port[:6]) <= 65535:
        raise ValueError(f'the port of "{shorten(text)}" is out of range: write one from {lowest_port} to 65535')
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f'"{shorten(text)}" is not an address: put an IPv6 address in brackets, as in [::1]:{port}')
    if not host:
        raise ValueError(f'"{shorten(text)}" names no host: write 127.0.0.1:{port}, or 0.0.0.0:{port} for all')
    return host, int(port)


def _parse_listen(text: str) -> Listen:
    return Listen(*parse_address(text, lowest_port=0))


def _parse_url(text: str) -> str:
    return _parse_link(text).rstrip("/")


def _parse_link(text: str) -> str:
    if not is_link(text):
        raise ValueError(NO_URL)
    return text


def _at_least(least: Any, said: str) -> AfterValidator:
    def validate(value: Any) -> Any:
        if value is not None and value < least:
            raise ValueError(f"must be at least {said}")
        return value

    return AfterValidator(validate)


def _check_scopes(values: list[Any]) -> None:
    if not values:
        raise ValueError(f"must name at least one of {', '.join(Scope)}")


def _check_references(values: list[Any]) -> None:
    if len(values) > _MOST_REFERENCES:
        raise ValueError(f"{len(values)} are too many: two or three tell enough, {_MOST_REFERENCES} are the most")


def _check_token(token: Secret) -> Secret:
    if not is_token(token.reveal()):
        raise ValueError(f"must be {TOKEN_FORM}: make one with `openssl rand -hex 24`")
    return token


def _check_tokens(tokens: dict[str, TokenKeys]) -> dict[str, TokenKeys]:
    first: dict[Secret, str] = {}
    for name, keys in tokens.items():
        try:
            parse_name(name)
        except ValueError as error:
            raise ValueError(f'the name "{shorten(name)}" {error}') from None
        if (other := first.setdefault(keys.token, name)) != name:
            raise ValueError(f'"{shorten(other)}" and "{shorten(name)}" are the same token: make one for each')
    return tokens


_HOOK_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def _check_hook_secret(secret: Secret) -> Secret:
    text = secret.reveal()
    if len(text) < SHORTEST_TOKEN or not text.isascii() or not text.isprintable():
        raise ValueError(f"must have at least {SHORTEST_TOKEN} characters: make one with `openssl rand -hex 24`")
    return secret


def _check_hooks(hooks: dict[str, HookKeys]) -> dict[str, HookKeys]:
    for name in hooks:
        if not _HOOK_NAME.fullmatch(name):
            raise ValueError(f'the name "{shorten(name)}" is part of an address: use letters, digits, - and _')
    return hooks


def _parse_kept(text: str) -> timedelta:
    kept = timedelta(0) if text == "off" else parse_duration(text)
    if text != "off" and kept < SHORTEST_KEPT:
        raise ValueError("must be at least 1h, or off")
    return kept


def _public(parse: Callable[[str], Any], noun: str) -> Leaf:
    return Leaf(parse, noun, TEXT_JSON)


_Title = Annotated[str, _public(parse_name, "a name of 1 to 100 characters")]
_Titles = Annotated[tuple[_Title, ...], Listed()]
_Address = Annotated[tuple[str, int], _public(parse_address, "an address such as 1.1.1.1:53")]
_Addresses = Annotated[tuple[_Address, ...], Listed(_check_references)]
_Count = Annotated[Whole, _at_least(1, "1")]
_Every = Annotated[Duration, _at_least(SHORTEST_EVERY, "100ms")]
_Timeout = Annotated[Duration, _at_least(SHORTEST_TIMEOUT, "10ms")]
_Remind = Annotated[Duration, _at_least(SHORTEST_REMIND, "1m")]
_Kept = Annotated[timedelta, _public(_parse_kept, "a duration such as 30d, or off")]
_Impact = Annotated[Impact, choice({impact.value: impact for impact in Impact})]
_Policy = Annotated[Policy, choice({policy.value: policy for policy in Policy})]
_Switch = Annotated[bool, choice({"on": True, "off": False})]
_Listen = Annotated[Listen, _public(_parse_listen, "an address such as 127.0.0.1:9788")]
_Url = Annotated[str, _public(_parse_url, A_URL)]
_Scopes = Annotated[
    tuple[Annotated[Scope, choice({scope.value: scope for scope in Scope})], ...], Listed(_check_scopes)
]
_Token = Annotated[SecretText, AfterValidator(_check_token)]
_Vendor = Annotated[Vendor, choice({vendor.value: vendor for vendor in Vendor})]
_HookSecret = Annotated[SecretText, AfterValidator(_check_hook_secret)]
_Link = Annotated[str, Leaf(_parse_link, A_URL, TEXT_JSON, public=False)]


def _key(text: str, default: Any = None) -> Any:
    return Field(default, description=text)


class VantageKeys(FieldsModel):
    name: _Title | None = _key("The name of this place; default: the host's name")
    reference: _Addresses = _key("Addresses (host:port) that tell: is it me or is it them? 16 at most", ())


class LimitsKeys(FieldsModel):
    looks: _Count = _key(
        f"How many scheduled looks may be under way at once, and extra ones ({_LIMITS.looks})", _LIMITS.looks
    )
    looks_per_host: _Count = _key(
        f"How many of either at one host ({_LIMITS.looks_per_host})", _LIMITS.looks_per_host
    )


class HistoryKeys(FieldsModel):
    raw: _Kept | None = _key("How long every look is kept; off: not at all (7d)")
    five_minutes: _Kept | None = _key("How long roll-ups of 5 minutes are kept, or off (30d)")
    hourly: _Kept | None = _key("How long roll-ups of an hour are kept, or off (400d)")


class TokenKeys(FieldsModel):
    token: _Token = _key("The token itself; best from the environment, a file or a credential", ...)
    scopes: _Scopes = _key("What it allows: read, operate (what people on call and scripts do), admin (reload)", ...)


class HookKeys(FieldsModel):
    type: _Vendor = _key("Who sends: github, gitlab, pagerduty or slack", ...)
    secret: _HookSecret = _key("What it signs with, 16 characters or more; the same on its side", ...)
    services: Names = _key("Of deploys: of which services they are; default: of all", ())
    environment: _Title | None = _key("Of deploys: only those to this environment; default: all")


class PublicKeys(FieldsModel):
    listen: _Listen = _key("Where the public page is served: services and what is wrong with them, nothing else", ...)


class AgentKeys(FieldsModel):
    listen: _Listen | None = _key("Where the agent serves its pages and metrics (127.0.0.1:9788)")
    state_dir: Text | None = _key("Where the journal lives; default: $STATE_DIRECTORY, else ~/.local/state/brownout")
    vantage: VantageKeys | None = _key("Where the agent looks from")
    limits: LimitsKeys | None = _key("How much the agent does at once")
    resolver: WhichResolver | None = _key(
        "By whom names are resolved: own, system, or addresses of name servers (own)"
    )
    history: HistoryKeys | None = _key("How much of the past is kept; states and transitions are kept for ever")
    public_url: _Url | None = _key("Where people reach the agent's pages")
    public: PublicKeys | None = _key("A second listener, for the world")
    tokens: Annotated[dict[str, TokenKeys], AfterValidator(_check_tokens)] = _key(
        "Who may write to the API, by name; without any, nobody may", {}
    )
    hooks: Annotated[dict[str, HookKeys], AfterValidator(_check_hooks)] = _key(
        "What others may send to /hooks/NAME, by name: deploys (github, gitlab), acknowledgements (pagerduty, slack)",
        {},
    )
    protected: Bool = _key("true: reading the API and the metrics needs a token, too (scope read)", default=False)
    actions: _Switch = _key("off: no action is taken, whatever `actions` says (on)", default=True)
    heartbeat: HeartbeatKeys | None = _key("Whom the agent tells that it is alive: a dead man's switch elsewhere")


class ConfirmKeys(FieldsModel):
    policy: _Policy | None = _key(
        "How an outage is told from a blip: adaptive learns from each target, consecutive only counts (adaptive)"
    )
    looks: _Count | None = _key("How many failing looks in a row call it down (10); with adaptive, at least")
    span: Duration | None = _key("How long they must span at least (5s); adaptive asks for up to 12 times as long")


class RecoverKeys(FieldsModel):
    looks: _Count | None = _key("How many good looks end trouble (36)")
    every: _Every | None = _key("How often to look while it recovers (1s)")


class DefaultsKeys(FieldsModel):
    """What every check has unless it says otherwise."""

    every: _Every | None = _key("How often to look (30s)")
    timeout: _Timeout | None = _key("How long a look may take (10s); never longer than `every`")
    confirm: ConfirmKeys | None = _key("How much evidence calls an outage")
    recover: RecoverKeys | None = _key("How much evidence ends it")
    usual: _Switch | None = _key("off: no check is compared with its own past (on)")
    flapping: OnOff | None = _key("off: every change is told; or figures that say when there are too many")
    labels: Labels | None = _key("Labels of every check; a check's own are added to them")
    owner: Name | None = _key("Who is responsible")
    impact: _Impact | None = _key("What a bad check means to its service")


class ServiceKeys(FieldsModel):
    title: _Title | None = _key("What customers call it; default: its name here")
    outage: Name | None = _key("any of a, b | all of a, b | 2 of a, b, c")
    owner: Name | None = _key("Who is responsible")
    runbook: _Link | None = _key("What to do when it breaks: a URL")
    labels: Labels | None = _key("For routes and metrics")
    flapping: OnOff | None = _key("off: every change is told; or figures that say when there are too many")


class RouteKeys(FieldsModel):
    when: Name | None = _key("Which events, such as: service = shop and impact = outage; default: all incidents")
    to: Names = _key("Who is told: sinks, people, groups, whoever is on call", ())
    during: HoursText | None = _key(
        "When the route counts, such as: Mon-Fri 08:00-22:00 Europe/Berlin; default: always"
    )
    quiet: HoursText | None = _key(
        "When it tells no degradations; when these hours end they are told, to people in one digest"
    )
    escalate: Escalate | None = _key(
        "Who is told next while nobody acknowledges: steps, or a name of `escalations`; needs no `to`"
    )
    remind: _Remind | None = _key(
        "After how long all are told again, while nobody acknowledges; each further wait is twice as long"
    )


class SinkKeys(FieldsModel):
    type: Name = _key("Which kind of sink", ...)


class CheckKeys(FieldsModel):
    """The keys that every check has, whatever its probe; `degraded` and `down` are typed for each kind."""

    name: _Title = _key("What people call it", ...)
    id: _Title | None = _key("What it is known by in the journal; default: its name")
    was: _Titles = _key("Ids it had before: its state is carried over", ())
    service: _Title | None = _key("The service it belongs to")
    probe: Name = _key("Which kind of look", ...)
    every: _Every | None = _key("How often to look")
    timeout: _Timeout | None = _key("How long a look may take; never longer than `every`: looks do not overlap")
    labels: Labels | None = _key("For routes and metrics")
    owner: Name | None = _key("Who is responsible")
    runbook: _Link | None = _key("What to do when it breaks: a URL")
    impact: _Impact | None = _key("What it means to the service when this is down")
    enabled: Bool = _key("false: read, but not looked at", default=True)
    depends_on: Names = _key("Checks whose failure explains a failure of this one", ())
    degraded: Names = _key("Thresholds: when one holds, the check is degraded", ())
    down: Names = _key("Thresholds: when one holds, the check is down", ())
    defaults: _Switch = _key("off: without the probe's own thresholds", default=True)
    confirm: ConfirmKeys | None = _key("How much evidence calls it down")
    recover: RecoverKeys | None = _key("How much evidence ends trouble")
    usual: _Switch | None = _key("off: slower than it has been at this hour is no trouble")
    resolver: WhichResolver | None = _key("By whom its names are resolved: own, system, or addresses of name servers")
    ip: WhichIp | None = _key(
        "Which addresses of a name count: 4 or 6 only, or those first (both, as RFC 6724 has them)"
    )
    flapping: OnOff | None = _key("off: every change is told; or figures that say when there are too many")


class LooseCheckKeys(CheckKeys, extra="ignore"):
    """For a check whose probe is not known: its common keys are read all the same."""

    probe: Any = None


SECTIONS = (
    "agent", "defaults", "sinks", "people", "groups", "oncall",
    "services", "checks", "routes", "escalations", "maintenance", "actions",
)  # fmt: skip
MAIN_ONLY = ("agent", "defaults", "oncall")
