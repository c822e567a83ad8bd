"""A third-party probe in one file: how old is a file? Copy it and begin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from probes.contract import BadField, Context, Measurement, Observation, Probe, Reason, Unit


@dataclass(frozen=True, slots=True)
class FileAge(Probe):
    """Looks at when a file was last written, such as the newest backup.

    ```yaml
    checks:
      - name: backup
        probe: file_age
        path: /var/backups/latest.dump
        degraded: age > 26h
        down: age > 50h
    ```

    Default thresholds: `age > 26h` is degraded. Most such files are written by a daily job; two hours are for days on
    which it takes longer. None makes a check down: an old backup stops nobody's work today.

    Limits: a file system that hangs makes the look end with `hung`.
    """

    kind: ClassVar[str] = "file_age"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("age", Unit.SECONDS, "Since the file was last written."),
        Measurement("size", Unit.BYTES, "The file's size."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("age > 26h",)}

    path: Annotated[str, "The file to look at: an absolute path."]

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise BadField("path", f"{self.path!r} is not an absolute path")

    @property
    def target(self) -> str:
        return self.path

    async def look(self, context: Context) -> Observation:
        try:
            async with asyncio.timeout(context.timeout):
                found = await asyncio.to_thread(Path(self.path).stat)
        except TimeoutError:
            return Observation(reason=Reason.HUNG, detail=f"{self.path}: no answer within {context.timeout:g} s")
        except FileNotFoundError:
            return Observation(reason=Reason.MISSING, detail=f"{self.path} does not exist")
        except PermissionError:
            return Observation(reason=Reason.DENIED, detail=f"{self.path} may not be looked at")
        return Observation({"age": max(0.0, time.time() - found.st_mtime), "size": float(found.st_size)})
