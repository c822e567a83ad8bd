"""What is written of a check of the http probe: each bad field is named, and no secret is shown."""

from __future__ import annotations

from typing import Any

import pytest

from probes._http.expect import Expect
from probes.contract import BadField, Secret
from probes.http import Http
from probes.tcp import Tcp


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"url": "ftp://x/"}, "url"),
        ({"url": "http://user:pw@/"}, "url"),
        ({"url": "http://h:0/"}, "url"),
        ({"url": "http://h/a b"}, "url"),
        ({"url": "http://h/", "method": "GE T"}, "method"),
        ({"url": "http://h/", "headers": {"a b": Secret("x")}}, "headers.a b"),
        ({"url": "http://h/", "headers": {"a": Secret("hush\r\nb: c")}}, "headers.a"),
        ({"url": "http://h/", "headers": {"Content-Length": Secret("5")}}, "headers.Content-Length"),
        ({"url": "http://h/", "follow": -1}, "follow"),
        ({"url": "http://h/", "max_bytes": 0}, "max_bytes"),
        ({"url": "https://h/", "key": "/k.pem"}, "key"),
        ({"url": "https://h/", "key_password": Secret("hush")}, "key_password"),
    ],
)
def test_bad_fields_are_named_and_secrets_are_not_shown(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(BadField) as raised:
        Http(**fields)
    assert raised.value.field == at
    assert "pw" not in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"status": ("20",)}, "status"),
        ({"status": ("299-200",)}, "status"),
        ({"body": "("}, "body"),
        ({"json": ("queue < 1",)}, "json"),
        ({"headers": {"X": "("}}, "headers.X"),
    ],
)
def test_bad_expectations_are_named(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(BadField) as raised:
        Expect(**fields)
    assert raised.value.field == at


def test_bad_fields_are_told_all_at_once() -> None:
    with pytest.raises(BadField) as raised:
        Http(url="ftp://x/", method="GE T", follow=-1)
    assert [bad.field for bad in raised.value.all] == ["url", "method", "follow"]


@pytest.mark.parametrize(("written", "sent"), [("get", "GET"), ("Post", "POST"), ("GET", "GET"), ("purge", "purge")])
def test_a_standard_method_is_sent_in_upper_case(written: str, sent: str) -> None:
    assert Http(url="http://h/", method=written).method == sent


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("www.example.com", ": write https://www.example.com"),
        ("www.example.com:8443/token?key=hush", ": write https://www.example.com:8443"),
        ("user:hush@www.example.com", ""),
        ("ftp://www.example.com", ""),
    ],
)
def test_a_url_without_a_scheme_is_told_what_to_write(url: str, advice: str) -> None:
    with pytest.raises(BadField) as raised:
        Http(url=url)
    assert str(raised.value) == f"the URL begins with neither http:// nor https://{advice}"


def test_a_port_out_of_range_is_said_to_be() -> None:
    with pytest.raises(BadField, match="is out of range: write one from 1 to 65535"):
        Tcp(address="mail.example.com:65536")
