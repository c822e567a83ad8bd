"""The keys `resolver` and `ip`: by whom names are turned into addresses, and by which addresses a check goes."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_core import core_schema

from monitor.config.document import Plain
from monitor.config.fields import TEXT_JSON, FieldsModel, Leaf, Listed, choice
from monitor.config.secrets import Secrets
from monitor.config.suggest import shorten
from monitor.config.units import parse_duration
from probes.contract import Ip, ResolverWanted

OWN, SYSTEM = "own", "system"
MOST_SERVERS = 3
"""As the C library takes them from resolv.conf."""
SHORTEST_CACHE, LONGEST_CACHE = timedelta(seconds=1), timedelta(days=1)
_PORT = 53
_FORMS = "own, system, an address such as 10.0.0.53, or a mapping such as {servers: [10.0.0.53], cache: off}"


def parse_server(text: str) -> tuple[str, int]:
    """``10.0.0.53``, ``10.0.0.53:5353``, ``[2001:db8::53]:5353``: an address, as a name could not be resolved."""
    host, port = text, str(_PORT)
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(f'"{shorten(text)}" is no address of a name server: write one such as 10.0.0.53') from None
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65_536:
        raise ValueError(f'the port of "{shorten(text)}" is out of range: write one from 1 to 65535')
    return str(address), int(port)


def _parse_cache(text: str) -> timedelta | None:
    """None: as long as the TTL says, within bounds of the agent's own."""
    if text in ("on", "off"):
        return None if text == "on" else timedelta(0)
    try:
        kept = parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{error}, and neither on nor off") from None
    if not SHORTEST_CACHE <= kept <= LONGEST_CACHE:
        raise ValueError("must be 1s to 1d, or off")
    return kept


def _check_servers(values: list[Any]) -> None:
    if not 1 <= len(values) <= MOST_SERVERS:
        raise ValueError(f"write one to {MOST_SERVERS} name servers")


_Server = Annotated[tuple[str, int], Leaf(parse_server, "an address such as 10.0.0.53", TEXT_JSON)]
_Servers = Annotated[tuple[_Server, ...], Listed(_check_servers)]
_Cache = Annotated[timedelta | None, Leaf(_parse_cache, "on or off or 5m", TEXT_JSON)]
_Use = Annotated[Literal["own", "system"], choice({OWN: OWN, SYSTEM: SYSTEM})]


class ResolverKeys(FieldsModel):
    """By whom names are resolved."""

    use: _Use | None = Field(
        default=None, description="own: the agent asks the name servers itself; system: getaddrinfo does (own)"
    )
    servers: _Servers = Field(default=(), description="The name servers to ask; default: those of /etc/resolv.conf")
    cache: _Cache = Field(
        default=None,
        description="How long an answer is kept at most, if its TTL is not shorter (5m); off: each look asks anew",
    )


class Named:
    """Annotates `ResolverKeys`: in place of the mapping a word or addresses may stand."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_wrap_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [TEXT_JSON, {"type": "array", "items": TEXT_JSON}, handler(schema)]}

    @staticmethod
    def _read(value: Plain, mapping: Any, info: Any) -> Any:
        if isinstance(value, dict):
            keys = mapping(value)
        elif isinstance(value, list):
            keys = mapping({"servers": value})
        else:
            secrets: Secrets = info.context
            text = secrets.resolve(value, public=True)
            if text not in (OWN, SYSTEM):
                try:
                    parse_server(text)
                except ValueError:
                    raise ValueError(f'"{shorten(text)}" is no resolver: write {_FORMS}') from None
            keys = mapping({"use": text} if text in (OWN, SYSTEM) else {"servers": value})
        if keys.use == SYSTEM and keys.servers:
            raise ValueError("system asks whom it likes: leave out servers, or use: system")
        return keys


WhichResolver = Annotated[ResolverKeys, Named()]
_BY_WORD = choice({ip.value: ip for ip in Ip})
_IP_JSON = {"anyOf": [{"enum": [4, 6]}, *_BY_WORD.schema["anyOf"]]}  # an editor takes a bare 4 for a number
WhichIp = Annotated[Ip, Leaf(_BY_WORD.parse, _BY_WORD.noun, _IP_JSON)]


def resolver_wanted(own: ResolverKeys | None, default: ResolverKeys | None = None) -> ResolverWanted:
    """What is written at a check, above what is written for the agent: who is asked, and how long that is kept."""
    keys = [item for item in (own, default) if item is not None]
    whom = next((item for item in keys if item.use is not None or item.servers), ResolverKeys())
    cache = next((item.cache for item in keys if "cache" in item.model_fields_set), None)
    return ResolverWanted(
        system=whom.use == SYSTEM, servers=whom.servers, cache=cache.total_seconds() if cache is not None else None
    )
