"""When bytes arrived, and how sure that is: the rules, as a table; and what the kernel tells, byte by byte."""

from __future__ import annotations

import socket
import struct

import pytest

from probes._wire.arrival import EXACT, SHARE, TOLERATED, judge, trusted
from probes._wire.tcp_info import CLOSED, SYN_SENT, ask, read

STARTED, POLLED, NOW = 0.0, 9.75, 10.0
"""The look began; there was nothing to read; it was read."""


@pytest.mark.parametrize(
    ("what", "age", "segments", "at", "doubt", "end_doubt"),
    [
        ("one segment, read at once", 0.0, 1, 10.0, 0.0, 0.0),
        ("one segment, read late", 0.125, 1, 9.875, 0.0, 0.0),
        ("one segment, read so late that the loop had last looked behind it", 0.5, 1, 9.5, 0.0, 0.0),
        ("several segments, the last just now", 0.0, 2, 10.0, 0.25, 0.0),
        ("several segments, all of them late", 0.125, 40, 9.875, 0.125, 0.0),
        ("several segments that came before the loop last looked", 0.5, 2, 9.5, 0.0, 0.0),
        ("nobody has counted", 0.125, None, 9.875, 0.125, 0.0),
        ("none, as they were counted with those of an earlier read", 0.125, 0, 9.875, 0.125, 0.0),
        ("no stamp", None, 1, 10.0, 0.25, 0.25),
        ("no stamp and no count", None, None, 10.0, 0.25, 0.25),
        ("a stamp from the future", -0.125, 1, 10.0, 0.25, 0.25),
        ("a stamp from before the look, as the clock was set", 10.5, 1, 10.0, 0.25, 0.25),
    ],
)
def test_rules(what: str, age: float | None, segments: int | None, at: float, doubt: float, end_doubt: float) -> None:
    assert judge(NOW, age, segments, POLLED, STARTED) == (at, doubt, end_doubt), what


def test_there_is_no_doubt_about_what_is_read_as_it_comes() -> None:
    assert judge(NOW, 0.0, 2, NOW + 1, STARTED) == (NOW, 0.0, 0.0)
    assert judge(NOW, None, 2, NOW + 1, STARTED) == (NOW, 0.0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "doubt", "told"),
    [
        (0.001, 0.0, True),
        (0.001, TOLERATED, True),
        (0.001, TOLERATED + 0.001, False),
        (1.0, SHARE, True),
        (1.0, SHARE + 0.001, False),
        (5.0, 5.0, False),
    ],
)
def test_a_time_with_too_much_doubt_is_not_told(seconds: float, doubt: float, told: bool) -> None:
    assert trusted(seconds, doubt) is told
    assert EXACT < TOLERATED


def _info(rtt: int = 150, again: int = 0, shortest: int = 120) -> bytes:
    told = bytearray(240)
    told[0] = 1
    for at, value in ((44, 30), (68, rtt), (100, again), (140, 5), (148, shortest), (152, 3)):
        struct.pack_into("=I", told, at, value)
    return bytes(told)


def test_tcp_info_is_read_where_linux_has_it() -> None:
    assert read(_info()) == (1, pytest.approx(120e-6), 0, 0.03, 3, 5)
    assert read(_info(again=2)) == (1, pytest.approx(120e-6), 2, 0.03, 3, 5)
    unknown = read(_info(rtt=0, shortest=0xFFFFFFFF))
    assert unknown is not None
    assert unknown.round_trip is None
    assert read(_info()[:155]) is None
    assert read(b"") is None


def test_tcp_info_of_a_real_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as sock:
        fresh = ask(sock)
        assert fresh is not None
        assert fresh.state == CLOSED != SYN_SENT
        sock.connect(listener.getsockname())
        before = ask(sock)
        assert before is not None
        assert before.round_trip is not None
        assert 0 < before.round_trip < 1
        assert (before.state, before.sent_again, before.segments, before.heard) == (1, 0, 0, 1)
        peer, _ = listener.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(2):
                peer.sendall(b"x")
            sock.recv(1, socket.MSG_PEEK)
            after = ask(sock)
        assert after is not None
        assert after.segments == 2
    with socket.socket(socket.AF_UNIX) as other:
        assert ask(other) is None
