"""What stands at paths of a JSON body, read without holding the loop and without building the whole of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from probes._http.jsonpath import find
from probes._http.jsonscan import Intricate, Path, found
from probes._look import Look
from probes.contract import LookFailed, Reason

SMALL = 16 * 1024
"""Bytes of JSON that are parsed at once: some tenths of a millisecond, and some 300 KiB at worst."""


async def values_at(look: Look, body: bytes | bytearray, paths: Sequence[Path]) -> list[object]:
    """The value at each path, or `MISSING`; arrays and objects of a large body come as an `Extract`.

    Raises `LookFailed`: body when it is not JSON, too_large when it is too intricate, and late when the time limit
    strikes while it is read, which is not the target's fault.
    """
    try:
        if len(body) <= SMALL:
            document = json.loads(body)
            return [find(document, path) for path in paths]
        look.begin(Reason.LATE)
        scan = found(body, paths)
        while True:
            try:
                next(scan)
            except StopIteration as ended:
                values: list[object] = ended.value
                return values
            await look.turn()
    except (Intricate, RecursionError) as error:
        raise LookFailed(Reason.TOO_LARGE, f"the JSON cannot be read: {error}") from None
    except ValueError as error:
        raise LookFailed(Reason.BODY, f"the body is not JSON: {look.show(str(error), 100)}") from None
