"""The connections of sinks by TLS: whom they trust, and what they say of whom they do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from monitor.sinks import _http, _trust
from tests.servers.authority import authority
from tests.sinks.other_side import Other, Server, always, failure, told


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with _http.new_client() as ours:
        yield ours


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """The system's authorities are those of a file."""
    _trust._made.cache_clear()
    yield lambda file: monkeypatch.setenv("SSL_CERT_FILE", file)
    _trust._made.cache_clear()


async def test_by_tls(client: httpx.AsyncClient, tmp_path: Path, trusting: Callable[[str], None]) -> None:
    made = authority(tmp_path)
    trusting(made.file)
    async with Server(always).open(made.server(), "localhost") as server:
        for _ in range(2):
            assert (await told(client, server)).status == 200
        assert server.connections == 1


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("expired", "certificate has expired"),
        ("other", "Hostname mismatch, certificate is not valid for 'localhost'."),
        ("self_signed", "self-signed certificate"),
    ],
)
async def test_a_certificate_that_is_none(
    client: httpx.AsyncClient, tmp_path: Path, trusting: Callable[[str], None], kind: str, says: str
) -> None:
    made = authority(tmp_path)
    trusting(made.file)
    async with Server(always).open(made.server(kind), "localhost") as server:
        error = await failure(client, server)
    assert (str(error), error.uncertain) == (f"cannot reach it: {says}", False)


async def test_it_hangs_up_on_tls(client: httpx.AsyncClient) -> None:
    async def handle(other: Other) -> None:
        await other.some()

    async with Server(handle).open() as server:
        server.url = server.url.replace("http:", "https:")
        error = await failure(client, server)
    assert "it ends them before TLS is set up" in str(error)
    assert not error.uncertain
