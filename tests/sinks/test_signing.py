"""Signatures against the specification's vectors and its reference library."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Reference
from standardwebhooks.webhooks import WebhookVerificationError

from monitor.sinks import _signing

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
OFFICIAL = VECTORS["official"][0]


def body_of(vector: dict[str, Any]) -> bytes:
    return base64.b64decode(vector["body_b64"]) if "body_b64" in vector else vector["body"].encode()


@pytest.mark.parametrize("vector", VECTORS["official"] + VECTORS["ours"])
def test_vectors(vector: dict[str, Any]) -> None:
    key = _signing.key_of(vector["secret"])
    now = datetime.fromtimestamp(int(vector["webhook-timestamp"]), UTC)
    headers = _signing.headers([key], vector["webhook-id"], now, body_of(vector))
    assert headers == {name: vector[name] for name in VECTORS["headers"]}


@pytest.mark.parametrize("vector", [v for v in VECTORS["official_negative"] if "webhook-signature" in v])
def test_we_make_none_of_the_wrong_ones(vector: dict[str, Any]) -> None:
    key = _signing.key_of(OFFICIAL["secret"])
    ours = _signing.signature(key, OFFICIAL["webhook-id"], int(OFFICIAL["webhook-timestamp"]), body_of(OFFICIAL))
    assert ours not in vector["webhook-signature"].split(" ")


@given(body=st.text(), key=st.binary(min_size=24, max_size=64))
def test_the_reference_library_agrees(body: str, key: bytes) -> None:
    encoded = body.encode("utf-8", "replace")
    secret = "whsec_" + base64.b64encode(key).decode()
    now = datetime.now(UTC)
    headers = _signing.headers([_signing.key_of(secret)], "evt_1", now, encoded)
    Reference(secret).verify(encoded, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Reference(secret).verify(encoded + b" ", headers, json_parse=False)


def test_in_a_rotation_both_can_verify() -> None:
    secrets = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
    headers = _signing.headers(map(_signing.key_of, secrets), "evt_1", datetime.now(UTC), b"{}")
    for secret in secrets:
        assert Reference(secret).verify(b"{}", headers) == {}


def test_without_a_secret_there_is_no_signature() -> None:
    headers = _signing.headers([], "evt_1", datetime(2026, 1, 1, tzinfo=UTC), b"{}")
    assert headers == {"webhook-id": "evt_1", "webhook-timestamp": "1767225600"}


def test_a_plain_password_is_taken_as_it_is() -> None:
    headers = _signing.headers([_signing.key_of("hunter2 hunter2")], "evt_1", datetime.now(UTC), b"{}")
    assert Reference(b"hunter2 hunter2").verify(b"{}", headers) == {}


def test_unpadded_base64_is_fine() -> None:
    assert _signing.key_of("whsec_" + base64.b64encode(b"k" * 32).decode().rstrip("=")) == b"k" * 32


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "is empty"),
        ("whsec_", "holds 0 bytes"),
        ("whsec_c2hvcnQ=", "holds 5 bytes"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "holds 65 bytes"),
        ("whsec_not base64!", "no base64"),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused_without_being_shown(secret: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        _signing.key_of(secret)
    assert not secret or secret not in str(raised.value) or secret == _signing.PREFIX
