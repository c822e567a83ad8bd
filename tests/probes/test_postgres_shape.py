"""Shapes of statements: what they do is told, what they are about is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes._sql_shape import shape


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT * FROM users WHERE mail = 'a@b.c' AND id=42", "SELECT * FROM users WHERE mail = ? AND id=?"),
        ("SELECT 1 -- for anna\n, 2", "SELECT ? , ?"),
        ("SELECT /* a /* b */ secret */ 1", "SELECT ?"),
        ("INSERT INTO t VALUES (1,'a',2.5e3), (2, 'b', 3)", "INSERT INTO t VALUES (?, …), …"),
        ("SELECT * FROM t WHERE id IN (1, 2, 3)", "SELECT * FROM t WHERE id IN (?, …)"),
        (r"SELECT E'it\'s secret', 'it''s'", "SELECT ?, ?"),
        ("SELECT $$secret 'x'$$, $tag$ a $$ b $tag$", "SELECT ?, ?"),
        ("SELECT $1, t1.col2, \"a b\"", 'SELECT $1, t1.col2, "a b"'),
        ("SELECT X'ff', B'01', U&'abc', N'a', 0xFF, 1_000, .5", "SELECT ?, ?, ?, ?, ?, ?, ?"),
        ("ALTER ROLE x PASSWORD 'hunter2'", "ALTER ROLE x PASSWORD ?"),
        ("SELECT 'cut off secr", "SELECT ?…"),
        ("SELECT 1 /* cut off", "SELECT ?…"),
        ("SELECT $$cut off", "SELECT ?…"),
        ('SELECT "cut off', "SELECT …"),
        ("", ""),
    ],
)  # fmt: skip
def test_shapes(sql: str, shown: str) -> None:
    assert shape(sql) == shown


def test_where_a_backslash_makes_it_doubtful_the_rest_is_left_out() -> None:
    """With standard_conforming_strings off the quote is escaped, else it ends the text: nobody can tell."""
    assert shape(r"SELECT 'it\' , secret , '") == "SELECT ?…"


def test_it_is_bounded() -> None:
    assert shape("SELECT " + "a, " * 100_000 + "b", 50).endswith("…")
    assert len(shape("SELECT " + "a, " * 100_000 + "b", 50)) == 50


@given(st.text(alphabet="ab'\"$/*-\\ \n1eE?", max_size=60), st.booleans())
def test_what_stands_in_a_literal_never_shows(text: str, escaped: bool) -> None:
    quoted = "'" + text.replace("'", "''") + "Zsecret'"
    if escaped:
        quoted = "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "Zsecret'"
    assert "Zsecret" not in shape(f"SELECT {quoted} FROM t")


@given(st.text(max_size=200))
def test_anything_has_a_shape(text: str) -> None:
    assert len(shape(text, 60)) <= 60
