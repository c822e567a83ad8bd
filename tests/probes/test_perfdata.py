"""What plug-ins print: text, performance data, long output. Outputs without a name are the guidelines' own forms."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes._system.perfdata import MOST_FIGURES, name_of, read_figures, read_output
from probes.contract import Unit


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("load1=0.260;5.000;10.000;0;", {"load1": (0.26, None)}),
        ("/=2643MB;5948;5958;0;5968", {"/": (2643 * 2**20, Unit.BYTES)}),
        ("time=0.002722s;;;0.000000 size=460B;;;0", {"time": (0.002722, Unit.SECONDS), "size": (460, Unit.BYTES)}),
        ("rta=0.046000ms;100.0;200.0;0.0 pl=0%;20;40;0;", {"rta": (0.000046, Unit.SECONDS), "pl": (0, Unit.RATIO)}),
        ("'C:\\ used space'=12GB;@10:20;~:30", {"C:\\ used space": (12 * 2**30, Unit.BYTES)}),
        ("'it''s = odd'=1", {"it's = odd": (1, None)}),
        ("a=5us b=7ns", {"a": (5e-6, Unit.SECONDS), "b": (7e-9, Unit.SECONDS)}),
        ("errors=12c;~:10;@5:6", {"errors": (12, Unit.COUNT)}),
        ("x=U;1;2 y=1", {"x": (None, None), "y": (1, None)}),
        ("a=1KiB b=1kB c=1TB", {"a": (1024, Unit.BYTES), "b": (1024, Unit.BYTES), "c": (2**40, Unit.BYTES)}),
        ("temp=21,5;;; volts=-3.3V p=.5 e=1e-3", {"temp": (21.5, None), "volts": (-3.3, None), "p": (0.5, None),
                                                  "e": (0.001, None)}),
        ("a=1  \t b=2\n c=3", {"a": (1, None), "b": (2, None), "c": (3, None)}),
        ("a=1 a=2", {"a": (1, None)}),
        ("rubbish a=1 =5 b= c=x 'open=1 d=4", {"a": (1, None), "d": (4, None)}),
        ("a=1e999", {"a": (None, None)}),
        ("a=nan b=inf", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_figures(text: str, figures: dict[str, tuple[float | None, Unit | None]]) -> None:
    found = {figure.label: (figure.value, figure.unit) for figure in read_figures(text)}
    assert found.keys() == figures.keys()
    for label, (value, unit) in figures.items():
        assert found[label] == (value if value is None else pytest.approx(value), unit)


def test_long_output() -> None:
    output = read_output(
        "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n"
        "/ 15272 MB (77%);\n/boot 68 MB (69%); | /boot=68MB;88;93;0;98\n/home=69357MB;253404;253409;0;253414\n"
    )
    assert output.text == "DISK OK - free space: / 3326 MB (56%);"
    assert output.more == "/ 15272 MB (77%);\n/boot 68 MB (69%);"
    assert [figure.label for figure in output.figures] == ["/", "/boot", "/home"]


@pytest.mark.parametrize(
    "text",
    ["a=1 " * 20_000, "'" * 65_536, "''' " * 16_000, "=" * 65_536, "x" * 65_536, "'a' " * 16_000, "a=" * 32_000],
)
def test_huge_or_hostile_output_is_read_in_no_time(text: str) -> None:
    began = time.process_time()
    assert len(read_figures(text)) <= MOST_FIGURES
    assert time.process_time() - began < 1  # seconds of CPU; what is quadratic takes minutes


def test_many_figures_are_bounded() -> None:
    assert len(read_figures(" ".join(f"f{number}={number}" for number in range(5000)))) == MOST_FIGURES


@given(st.text(alphabet="'=; a1.U%c|\n\té\0", max_size=200))
def test_nothing_that_is_printed_raises(text: str) -> None:
    read_output(text)


@pytest.mark.parametrize(
    ("label", "name"),
    [("load1", "load1"), ("/", "root"), ("/var/lib", "var_lib"), ("C:\\ used %", "c_used"), ("5xx", "_5xx"),
     ("Größe", "gr_e"), ("'", "")],
)  # fmt: skip
def test_names(label: str, name: str) -> None:
    assert name_of(label) == name
