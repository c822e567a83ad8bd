"""URLs as they are written and as targets name them: whatever one is, it is taken apart, or refused with words."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from probes._http.ask import Ask, Hop
from probes._http.url import join, parse
from probes.contract import TlsWanted

BASE = parse("https://shop.example.com/a/b?c=d")
LATIN = some.text(alphabet=some.characters(max_codepoint=255), max_size=60)
PIECES = some.lists(
    some.sampled_from(
        ["http://", "https:", "//", "/", "..", "?", "#", "@", ":", "[", "]", "::1", "h", "80", "%", " "]
    )
)


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("/x", "https://shop.example.com/x"),
        ("x", "https://shop.example.com/a/x"),
        ("../x", "https://shop.example.com/x"),
        ("?x=1", "https://shop.example.com/a/b?x=1"),
        ("//other.example.com/x", "https://other.example.com/x"),
        ("HTTP://OTHER.example.com", "http://other.example.com/"),
        ("https://other.example.com:8443/x#y", "https://other.example.com:8443/x"),
        ("https://me:word@other.example.com/", "https://other.example.com/"),
        ("/\xe4 b", "https://shop.example.com/%E4%20b"),
        ("/a%20b", "https://shop.example.com/a%20b"),
        ("  /x\t", "https://shop.example.com/x"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
        ("https://b\xfccher.example/", None),
        ("https://b\xc3\xbccher.example/", "https://xn--bcher-kva.example/"),
        ("https://%2e%2e%40/", None),
        ("ftp://h/", None),
        ("file:///etc/passwd", None),
        ("javascript:alert(1)", None),
        ("http://", None),
        ("http://h:0/", None),
        ("http://h:99999/", None),
        ("http://[::1", None),
    ],
)
def test_where_a_location_leads(location: str, leads: str | None) -> None:
    if leads is None:
        with pytest.raises(ValueError, match=r"."):
            join(BASE, location)
        return
    found = join(BASE, location)
    assert f"{found.scheme}://{found.authority}{found.target}" == leads
    assert found.authorization is None


@given(LATIN | PIECES.map("".join))
@example("http://h\xad/")
@example("//\x80:1/")
@example("http://[v1.x]/")
def test_whatever_a_location_is_it_can_be_asked_for_or_not(location: str) -> None:
    """A target names it: it never breaks out of its line, nor raises an error of ours."""
    try:
        found = join(BASE, location)
    except ValueError:
        return
    ask = Ask(BASE, "GET", [], None, 5, frozenset(), 1000, 1000, None, TlsWanted())
    data = ask.request(Hop(found, "GET", None))
    lines = data.split(b"\r\n")
    assert lines[0].count(b" ") == 2
    assert len(lines) == 7, "the request line, four headers, and the end"
    assert not any(byte < 32 for line in lines for byte in line)


@given(some.text(max_size=60) | PIECES.map("".join))
def test_whatever_is_written_is_a_url_or_not(text: str) -> None:
    try:
        found = parse(f"http://{text}")
    except ValueError:
        return
    assert found.host
    assert 0 < found.port < 65_536
    found.authority.encode("ascii")
    found.target.encode("ascii")


@pytest.mark.parametrize(
    ("written", "other", "trusted"),
    [
        ("http://h/a", "http://h/b", True),
        ("http://h/", "http://H:80/", True),
        ("http://h/", "https://h/", True),
        ("https://h/", "https://h:443/x", True),
        ("https://h:8443/", "https://h:8443/", True),
        ("https://h/", "http://h/", False),
        ("http://h:8080/", "https://h/", False),
        ("http://h/", "https://h:8443/", False),
        ("https://h/", "https://h:8443/", False),
        ("https://h/", "https://www.h/", False),
        ("https://www.h/", "https://h/", False),
        ("https://h/", "https://h./", False),
        ("https://127.0.0.1/", "https://localhost/", False),
        ("https://[::1]/", "https://[0:0::1]/", True),
    ],
)
def test_who_may_be_told_what_was_written(written: str, other: str, trusted: bool) -> None:
    assert parse(written).trusts(parse(other)) is trusted


@pytest.mark.parametrize("text", ["https://me:pa\u2100ssword@h/", "https://me:password@[::1/"])
def test_a_refused_url_shows_no_password(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse(text)
    assert "ssword" not in str(refused.value)


def test_no_repr_shows_a_secret() -> None:
    url = parse("https://me:password@h/path?token=abcdef")
    hop = Hop(url, "POST", b"client_secret=abcdef")
    assert "Url(https://h/path?\u2026)" in repr(url)
    assert "abcdef" not in repr(hop)
    assert "password" not in repr(hop)


def test_a_location_cannot_hold_the_loop() -> None:
    """Internationalised names take time by the square of their length; one of 10,000 signs took 13 seconds."""
    host = "".join(map(chr, range(0x4E00, 0x4E00 + 10_000)))
    began = process_time()
    with pytest.raises(ValueError, match="cannot be a host name"):
        join(BASE, f"https://{host}/".encode().decode("latin-1"))
    assert process_time() - began < 0.5
