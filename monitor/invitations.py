"""Links by which whoever is told of an incident can acknowledge it, without a token: signed, and they expire.

A link is of one incident and allows one thing. Its key is made of the journal's name and of a secret in the state
directory, so that another agent's links open nothing here.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from monitor.store.contract import Delivery

VALID = timedelta(hours=24)
"""From the event on that brings the link."""
KEY_FILE = "links.key"
_LETTERS = 22
"""Of a signature: 132 bits."""
_TICKET = re.compile(rf"(inc_[a-z2-7]{{26}})\.(\d{{1,12}})\.([\w-]{{{_LETTERS}}})", re.ASCII)
_TOLD = ("incident.opened", "incident.updated")

_log = structlog.get_logger("brownout")


class Expired(Exception):
    """It was a link of ours."""


class Invitations:
    """Makes links and knows them again. `base` is where people reach the agent's pages; None: no links are made."""

    def __init__(self, key: bytes, base: str | None) -> None:
        self._key = key
        self._base = base

    @classmethod
    def of(cls, state_dir: Path, origin: str, base: str | None) -> Invitations:
        """Those of the agent whose journal this is."""
        return cls(link_key(state_dir, origin) if base is not None else secrets.token_bytes(32), base)

    def link(self, incident: str, at: datetime) -> str | None:
        if self._base is None:
            return None
        until = int((at + VALID).timestamp())
        return f"{self._base}/acknowledge/{incident}.{until}.{self._sign(incident, until)}"

    def incident(self, ticket: str, now: datetime) -> str | None:
        """The incident that a link is of; None: it is no link of ours. Raises `Expired`."""
        found = _TICKET.fullmatch(ticket)
        if found is None:
            return None
        name, until = found[1], int(found[2])
        if not hmac.compare_digest(self._sign(name, until), found[3]):
            return None
        if now.timestamp() >= until:
            raise Expired
        return name

    def inviting(self, delivery: Delivery) -> Delivery:
        """A delivery with a link, where there is something to acknowledge. For people only: whoever reads it may."""
        if self._base is None or delivery.event_type not in _TOLD:
            return delivery
        try:
            body = json.loads(delivery.body)
            incident = body["incident"]
            link = self.link(str(incident["id"]), delivery.at) if _open(body, incident) else None
            links = {**body["links"], "acknowledge": link}
        except (ValueError, KeyError, TypeError, AttributeError):
            return delivery  # of another version
        if link is None:
            return delivery
        text = json.dumps({**body, "links": links}, ensure_ascii=False, separators=(",", ":"))
        return replace(delivery, body=text.encode("utf-8", "replace"))

    def _sign(self, incident: str, until: int) -> str:
        digest = hmac.digest(self._key, f"{incident}.{until}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest)[:_LETTERS].decode()


def _open(body: Mapping[str, Any], incident: Mapping[str, Any]) -> bool:
    practice = body.get("drill") is True or body.get("test") is True
    return str(incident["id"]).startswith("inc_") and not (practice or incident.get("acknowledged"))


def link_key(state_dir: Path, origin: str) -> bytes:
    """The key of the links of the agent whose journal this is. Where its secret cannot be kept, links end with the
    agent."""
    return hmac.digest(_secret(state_dir / KEY_FILE), origin.encode(), "sha256")


def _secret(file: Path) -> bytes:
    try:
        exposed = file.stat().st_mode & 0o077 != 0
        if len(known := file.read_bytes()) >= 32 and not exposed:
            return known
        file.unlink()  # cut off by a full disk; or copied here so that others may read it, and make links
        if exposed:
            _log.warning(
                "links_void", file=str(file), why="others could read the key: earlier links open nothing now"
            )
    except FileNotFoundError:
        pass
    except OSError as error:
        _log.warning("links_not_kept", file=str(file), error=error.strerror)
        return secrets.token_bytes(32)
    made = secrets.token_bytes(32)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(made)
    except OSError as error:
        _log.warning("links_not_kept", file=str(file), error=error.strerror)
    return made
