"""Writes an access log at a steady rate: argv is the file and lines a second. It ends with its stdin, and tells how
many lines it wrote."""

from __future__ import annotations

import json
import random
import select
import sys
import time
from pathlib import Path

BEAT = 0.002
PATHS = ("/", "/api/v1/items/{}", "/checkout?session={}", "/static/app.{}.js")
LINE = (
    '10.0.{}.{} - - [22/Nov/2026:02:36:30 +0000] "GET {} HTTP/1.1" {} {} "https://shop.example.com/" '
    '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36" '
    "{:.3f} {:.3f}\n"
)


def lines(count: int) -> list[bytes]:
    """Lines as nginx writes them, one in a hundred bad."""
    chance = random.Random(1)
    made = []
    for number in range(count):
        path = chance.choice(PATHS).format(chance.randrange(10_000))
        status = chance.choices((200, 304, 404, 500, 502), (90, 6, 3, 0.5, 0.5))[0]
        times = chance.expovariate(10), chance.expovariate(20)
        size = chance.randrange(100_000)
        made.append(LINE.format(number % 250, number % 200, path, status, size, *times).encode())
    return made


def main() -> None:
    path, rate = Path(sys.argv[1]), int(sys.argv[2])
    ready = lines(20_000)
    with path.open("ab", buffering=0) as log:
        print(json.dumps(len(ready)), flush=True)
        began, sent = time.monotonic(), 0
        while not select.select([sys.stdin], [], [], BEAT)[0]:
            due = int((time.monotonic() - began) * rate) - sent
            at = sent % len(ready)
            piece = ready[at : at + due]
            log.write(b"".join(piece))
            sent += len(piece)
    print(json.dumps(sent), flush=True)


if __name__ == "__main__":
    main()
