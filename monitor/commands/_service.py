"""What makes Brownout a service of systemd: which files go where, and the program that they run."""

from __future__ import annotations

import os
import re
import stat
import sys
from importlib.resources import files
from pathlib import Path

from monitor.commands._placing import Item

USER = "brownout"
CONFIG = "/etc/brownout"
STATE = ("/var/lib/brownout", "/var/lib/private/brownout")
"""A link, and where it leads: systemd keeps a dynamic user's state where no other user can go."""
SYSCTL = "/etc/sysctl.d/50-brownout-ping.conf"
"""What comes with these drop-ins: a setting of the kernel."""
_PINGS = ("icmp", "ping")

_UNITS = files("monitor") / "units"
_WRITTEN_PROGRAM = "/opt/brownout/bin/brownout"
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  (named because the service does not see it)
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._+@-]+")


class NoProgram(Exception):
    """The service could not run this installation; the text says what to do."""


def additions() -> list[str]:
    """What `--with` knows: the drop-ins."""
    return sorted(each.name.removesuffix(".conf") for each in (_UNITS / "drop-ins").iterdir())


def unit(program: str, *, packaged: bool = False) -> list[Item]:
    """The unit and its user. `packaged`: where a distribution's package has them."""
    where = (
        ("/usr/lib/systemd/system", "/usr/lib/sysusers.d") if packaged else ("/etc/systemd/system", "/etc/sysusers.d")
    )
    text = _text("brownout.service").replace(_WRITTEN_PROGRAM, program)
    return [
        Item(f"{where[1]}/brownout.conf", _text("sysusers.d/brownout.conf"), stamped=not packaged),
        Item(f"{where[0]}/brownout.service", text, stamped=not packaged),
    ]


def configuration() -> list[Item]:
    return [
        Item(CONFIG, mode=0o750, group=USER),
        Item(f"{CONFIG}/checks.yaml", _text("checks.yaml"), mode=0o640, group=USER, yours=True),
        Item(f"{CONFIG}/secrets", mode=0o700),
    ]


def addition(name: str) -> list[Item]:
    """Sorts before `override.conf`, which `systemctl edit` makes, so that the last word is the admin's."""
    drop_in = Item(f"/etc/systemd/system/brownout.service.d/10-{name}.conf", _text(f"drop-ins/{name}.conf"))
    return [drop_in, Item(SYSCTL, _text("sysctl.d/brownout.conf"))] if name in _PINGS else [drop_in]


def additions_folder() -> Item:
    return Item("/etc/systemd/system/brownout.service.d", mode=0o755)


def packaged_unit(root: Path) -> Path | None:
    """The unit of a distribution's package, if one is installed."""
    for folder in ("usr/lib", "lib"):
        path = root / folder / "systemd/system/brownout.service"
        if path.exists():
            return path
    return None


def ping_is_open() -> bool:
    """Whether the kernel lets anybody send echo requests: the range of groups is empty (1 0) where it does not."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ping_group_range").read_text().split())
    return low <= high


def own_program() -> str:
    """The program of the running installation, by its path. Raises `NoProgram`."""
    path = str(Path(sys.prefix) / "bin" / "brownout")
    if not os.access(path, os.X_OK):
        raise NoProgram(f"there is no {path}: install Brownout with pip or pipx first, or name it with --program")
    for what in (path, os.path.realpath(path), os.path.realpath(sys.executable)):
        _check_seen(what)
    return path


def check_path(program: str) -> str:
    """Raises `NoProgram` for what a unit file would read otherwise."""
    if not _PLAIN_PATH.fullmatch(program):
        raise NoProgram(f"{program!r} is no path for a unit file: an absolute path of letters, digits and /._+@-")
    return program


def _check_seen(path: str) -> None:
    check_path(path)
    hidden = next((folder for folder in _HIDDEN if path.startswith(f"{folder}/")), None)
    if hidden is not None:
        raise NoProgram(
            f"the service cannot see {hidden} (ProtectHome=, PrivateTmp=), and {path} is there: install with a "
            f"Python of the system into another folder, as in /usr/bin/python3 -m venv /opt/brownout"
        )
    for folder in Path(path).parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            raise NoProgram(f"the service's user cannot enter {folder}, where {path} is: chmod o+rx {folder}")


def _text(name: str) -> str:
    return _UNITS.joinpath(name).read_text(encoding="utf-8")
