"""What a request lacks until its look begins: a body that stands in a file, a token that is fetched."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from probes._http.ask import Ask
from probes._http.auth import Tokens
from probes._look import Look
from probes._system.hang import Asker, Hung
from probes.contract import Context, LookFailed, Reason, Secret

BODY_BYTES = 16 * 2**20
"""The largest file that is sent."""
_PATIENCE = 2.0
"""Seconds that the file may take to be read."""

BEFOREHAND = frozenset({"resolve", "login", "body_file"})
"""Phases that are no part of a response time."""


class BodyFile:
    """A file as a request's body, read anew when it has changed: in a thread, as its file system may hang."""

    __slots__ = ("_asker", "_mark", "_path", "_read")

    def __init__(self, path: str) -> None:
        self._path = path
        self._asker: Asker[str, bytes] = Asker(self._current, "body_file")
        self._mark: tuple[int, ...] | None = None
        self._read = b""

    async def read(self, look: Look) -> bytes:
        """The same object while the file is as it was. Raises `LookFailed` (denied); spends the phase body_file."""
        since = perf_counter()
        look.begin(Reason.DENIED)
        try:
            return await self._asker.ask(self._path, min(look.left(), _PATIENCE))
        except Hung:
            raise self._denied("the file system does not answer") from None
        except OSError as error:
            raise self._denied(error.strerror or str(error)) from None
        finally:
            look.spend("body_file", perf_counter() - since)

    def _current(self, path: str) -> bytes:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            raise self._denied("it is not a regular file")
        mark = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
        if mark != self._mark:
            with Path(path).open("rb") as stream:
                read = stream.read(BODY_BYTES + 1)
            if len(read) > BODY_BYTES:
                raise self._denied(f"it is larger than {BODY_BYTES >> 20} MiB")
            self._mark, self._read = mark, read
        return self._read

    def _denied(self, why: str) -> LookFailed:
        return LookFailed(Reason.DENIED, f"body_file {os.fspath(self._path)}: {why}")


class Prepared:
    """Completes the request of one check."""

    __slots__ = ("_body", "_last", "_tokens")

    def __init__(self, body_file: str | None, tokens: Tokens | None) -> None:
        self._body = BodyFile(body_file) if body_file is not None else None
        self._tokens = tokens
        self._last: tuple[bytes | None, str | None, Ask] | None = None

    async def ask(self, look: Look, context: Context, base: Ask, *, refused: Ask | None = None) -> Ask:
        """`base` with what it lacks; not with the token of `refused`, which the target does not take.

        Raises `LookFailed`; what is secret of it is known to the look.
        """
        body = await self._body.read(look) if self._body is not None else base.body
        token = None
        if self._tokens is not None:
            given = refused.authorization if refused is not None else None
            instead_of = given.reveal().removeprefix("Bearer ") if given is not None else None
            token = await self._tokens.get(look, context, base, instead_of=instead_of)
            look.learn(token)
        if self._last is None or self._last[0] is not body or self._last[1] != token:
            authorization = Secret(f"Bearer {token}") if token is not None else base.authorization
            self._last = (body, token, replace(base, body=body, authorization=authorization))
        return self._last[2]

    @property
    def has_token(self) -> bool:
        return self._tokens is not None
