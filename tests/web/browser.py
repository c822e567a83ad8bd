"""A real browser, driven over its debugging protocol: Chromium, where one is installed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 40.0
"""Seconds until a test gives up waiting for what the page should show."""
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One tab. `trouble` are exceptions, errors of the console, and requests that the browser refused."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.trouble: list[str] = []
        self.asked: set[str] = set()
        """The origins that the page asked."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE):
            while True:
                told = json.loads((await self._socket.receive()).data)
                if told.get("id") == self._number:
                    if "error" in told:
                        raise RuntimeError(f"{method}: {told['error']}")
                    return dict(told["result"])
                self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        given = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            self.trouble.append(json.dumps(given["exceptionDetails"])[:500])
        elif told.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.trouble.append(given["entry"]["text"])
        elif told.get("method") == "Network.requestWillBeSent":
            self.asked.add("/".join(given["request"]["url"].split("/")[:3]))

    async def open(self, url: str) -> None:
        for domain in ("Log", "Runtime", "Network", "Page"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """Of an expression, as JSON."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(json.dumps(told["exceptionDetails"])[:500])
        return told["result"].get("value")

    async def until(self, expression: str, patience: float = PATIENCE) -> Any:
        """Wait until an expression is true; its value."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience
        while True:
            with contextlib.suppress(RuntimeError):  # the page before it may still be there
                if value := await self.value(expression):
                    return value
            assert loop.time() < give_up, f"waited in vain for {expression}; {self.trouble}; {await self.seen()}"
            await asyncio.sleep(0.05)

    async def seen(self) -> str:
        return str(await self.value("document.body.innerText"))

    async def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """How wide the window is, and which colours its user likes."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def picture(self, file: Path) -> None:
        told = await self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(told["data"]))  # noqa: ASYNC240  (nobody waits)


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A new browser with one tab, gone at the end; it keeps its things in `folder`."""
    assert CHROMIUM is not None
    process = subprocess.Popen(  # noqa: ASYNC220  (once a test)
        [CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                tabs = await answer.json(content_type=None)
            address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                yield page
                with contextlib.suppress(ConnectionError, TypeError):
                    await socket.send_json({"id": 0, "method": "Browser.close"})
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


async def _port(file: Path) -> int:
    """Chromium writes down which port it has taken."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE
    while loop.time() < give_up:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(file.read_text().splitlines()[0])  # noqa: ASYNC240  (a line)
        await asyncio.sleep(0.05)
    raise AssertionError("the browser does not start")
