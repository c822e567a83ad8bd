"""What a target chooses, so that taking its secrets out of its text takes long, or takes too little out."""

from __future__ import annotations

from time import process_time

import pytest

from probes._clean import MASK, Cleaner
from probes._look import visible


@pytest.mark.parametrize("text", ["a" * 4095 + "b", "a" * 2048 + "b" + "a" * 2047])
def test_a_target_cannot_make_cleaning_long(text: str) -> None:
    """Each cookie is 4 KB, and begins at each place of the text: comparing all took 0.4 s each time."""
    cleaner = Cleaner("a" * 4080 + str(number) for number in range(50))
    cleaner("")  # the forms are made once
    began = process_time()
    cleaned = cleaner(text)
    assert process_time() - began < 0.1
    assert "a" * 64 not in cleaned


def test_the_head_of_a_secret_is_found_behind_what_only_begins_like_one() -> None:
    cleaner = Cleaner(["secr-et-1234567"])
    assert cleaner("secr secr secr, secr-et-12") == f"secr secr secr, {MASK}"
    assert cleaner("secr " * 10) == "secr " * 10


@pytest.mark.parametrize("sign", ["\ud800", "\u061c", "\ufeff"])
def test_what_can_be_neither_stored_nor_seen_is_made_visible(sign: str) -> None:
    shown = visible(f"a{sign}b")
    assert shown == f"a\\u{ord(sign):04x}b"
    assert shown.encode()
