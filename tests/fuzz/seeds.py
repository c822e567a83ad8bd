"""Where fuzzing begins: an example of every kind for each target."""

from __future__ import annotations

import gzip
import zlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import brotli
from cryptography.hazmat.primitives.serialization import Encoding

from probes._http.codings import zstd_module
from tests.probes import test_http1, test_jsonscan
from tests.servers.authority import authority

zstd = zstd_module()
_PAGE = b"line of a page\n" * 20
"""What is compressed."""
_DNS = bytes.fromhex("1234818000010002000100010161000001000101610000010001000000050004c0000201c00c0001000100000005")
_SAYINGS = (
    b"220-mail\r\n220 hello\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n",
    b"* OK hello\r\na OK begin\r\n* CAPABILITY STARTTLS\r\n",
    b"+OK hello\r\n+OK begin\r\n",
    b"S",
    b"N",
    b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
)


def _addresses(kind: int) -> bytes:
    """An answer that leads by one alias to an address, and a SOA record."""
    question = b"\1a\0" + bytes((0, kind, 0, 1))
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\5\0\4\1b\xc0\x0e"
    address = (
        b"\xc0\x1f" + bytes((0, kind, 0, 1, 0, 0, 0, 5, 0, 4 if kind == 1 else 16)) + b"\1" * (4 if kind == 1 else 16)
    )
    soa = b"\0\0\6\0\1\0\0\0\5\0\x16\0\0" + b"\0\0\0\1" * 5
    return b"\x12\x34\x81\x80\0\1\0\2\0\1\0\0" + question + alias + address + soa


def _certificates() -> tuple[bytes, ...]:
    with TemporaryDirectory() as folder:
        made = authority(Path(folder))
        return tuple(made.certificate(name).public_bytes(Encoding.DER) for name in ("good", "other", "self_signed"))


@cache
def seeds(target: str) -> tuple[bytes, ...]:
    """Some inputs of a target, good and bad."""
    answers = (*(data for data, _, _ in test_http1.GOOD.values()), *test_http1._BROKEN.values())
    packed = (gzip.compress(_PAGE), zlib.compress(_PAGE), brotli.compress(_PAGE), zstd.compress(_PAGE))
    given: dict[str, tuple[bytes, ...]] = {
        "answer": answers,
        "alike": answers,
        "chunks": (_PAGE,),
        "codings": (*(bytes((number,)) + data for number, data in enumerate(packed)), b"\0" + packed[0] * 3),
        "documents": tuple(test_jsonscan.SMALL),
        "redirects": (b"/a?b#c", b"//h:1/x", b"https://u:p@h/", b"../..", b"http://[::1]:80/", b"http://\xe4.de/"),
        "cookies": (
            b"a=b; Path=/; Max-Age=1; Domain=example.org",
            b"a=b\nc=d; Secure; Expires=Wed, 09 Jun 2027 1:1:1 GMT",
        ),
        "proxies": (
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 407 No\r\nProxy-Status: x; error=y\r\n\r\n",
            b"\5\2\1\0\5\0\0\1abcdab",
        ),
        "names": (_DNS, _DNS[:12] + b"\xc0\x0c" + _DNS[14:]),
        "lookups": tuple(_addresses(kind) for kind in (1, 28)),
        "pings": (b"\0\0\0\0\0\1\0\2payload", b"E" + bytes(19) + b"\0\0\0\0\0\1\0\2payload", b"\x08" + bytes(80)),
        "starttls": _SAYINGS,
        "certificates": _certificates() if target == "certificates" else (),
    }  # fmt: skip
    return given[target]
