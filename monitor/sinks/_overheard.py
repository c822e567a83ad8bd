"""What the other side answers, for people to read: only where somebody has asked for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from monitor.sinks._lines import Lines

LONGEST = 2000
"""Bytes of an answer that are kept, of each."""
MOST = 10
"""Answers."""


class Overheard(httpx.AsyncBaseTransport):
    """A transport that keeps what is answered: the status, and the beginning of the body."""

    def __init__(self) -> None:
        self._inner = Lines()
        self.answers: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        answer = {"method": request.method, "status": response.status_code, "body": ""}
        if len(self.answers) < MOST:
            self.answers.append(answer)
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101  (an asynchronous transport's)
        response.stream = _Heard(response.stream, answer)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Heard(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, answer: dict[str, Any]) -> None:
        self._inner = inner
        self._answer = answer
        self._kept = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._kept += chunk[: LONGEST - len(self._kept)]
            self._answer["body"] = self._kept.decode("utf-8", "replace")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
