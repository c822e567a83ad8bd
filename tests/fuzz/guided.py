"""One target under atheris, in a process of its own: `python -m tests.fuzz.guided TARGET CORPUS [OPTIONS]`.

Run by `make fuzz`, with options of libFuzzer. It is guided by the code of `probes`, instrumented as it is imported.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["probes"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    run = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
