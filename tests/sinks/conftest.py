"""What tests of sinks share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.sinks.made import mockable


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with mockable() as shared:
        yield shared
