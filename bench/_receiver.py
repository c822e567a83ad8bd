"""Takes webhooks, verifies them, and notes when: `python -m bench._receiver KEY`, the key in hex.

Prints its port; when its stdin ends, the ids of the events it accepted with the monotonic time of each, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from monitor.demo.receiver import Received, Receiver


async def receive(key: bytes) -> dict[str, float]:
    accepted: dict[str, float] = {}

    def take(received: Received) -> None:
        if received.verified:
            accepted.setdefault(received.event["id"], time.monotonic())

    receiver = Receiver(key, take)
    await receiver.open()
    print(receiver.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await receiver.close()
    return accepted


if __name__ == "__main__":
    print(json.dumps(uvloop.run(receive(bytes.fromhex(sys.argv[1])))))
