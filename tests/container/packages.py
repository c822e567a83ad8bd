"""The Debian package, and others of other versions that are made of it: an older one, and one from the future."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OLDER, NEWER = "0.0.9", "9.9.9"


def built(out: Path) -> Path:
    """The package: BROWNOUT_DEB, or built by what `make deb` calls."""
    if "BROWNOUT_DEB" in os.environ:
        return Path(os.environ["BROWNOUT_DEB"]).resolve()
    # Nobody downloads this one, and it is unpacked four times.
    _run([ROOT / "packaging" / "build-deb", Path(sys.executable).parent, out], COMPRESSION="none")
    return next(out.glob("*.deb"))


def older(package: Path, folder: Path, work: Path) -> None:
    """As an earlier version may have been, into `older.deb`: another unit, and another first checks.yaml."""
    tree = _unpacked(package, work / "older", OLDER)
    _edit(tree / "usr/lib/systemd/system/brownout.service", "WatchdogSec=30", "WatchdogSec=29")
    _edit(tree / "etc/brownout/checks.yaml", "# What Brownout watches", "# What this version watches")
    _pack(tree, folder)


def newer(package: Path, folder: Path, work: Path) -> int:
    """As a later version may be, into `newer.deb`: its journal has a schema that this one does not know, whose number
    is returned."""
    tree = _unpacked(package, work / "newer", NEWER)
    scripts = next(tree.glob("usr/lib/brownout/lib/python3*/site-packages/monitor/store/sql"))
    schema = 1 + max(int(script.name[:3]) for script in scripts.glob("*.sql"))
    (scripts / f"{schema:03}_later.sql").write_text("CREATE TABLE later (what TEXT) STRICT;\n")
    _pack(tree, folder)
    return schema


def _unpacked(package: Path, tree: Path, version: str) -> Path:
    _run(["dpkg-deb", "--raw-extract", package, tree])
    control = tree / "DEBIAN/control"
    control.write_text(re.sub("(?m)^Version: .*", f"Version: {version}", control.read_text()))
    metadata = next(tree.glob("usr/lib/brownout/lib/python3*/site-packages/brownout-*.dist-info/METADATA"))
    metadata.write_text(re.sub("(?m)^Version: .*", f"Version: {version}", metadata.read_text(), count=1))
    return tree


def _pack(tree: Path, folder: Path) -> None:
    _run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, folder / f"{tree.name}.deb"])


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file}: {old}"
    file.write_text(text.replace(old, new))


def _run(command: list[str | Path], **environment: str) -> None:
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
