"""What tests of sinks share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from monitor.sinks import _http


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with _http.new_client() as shared:
        yield shared
