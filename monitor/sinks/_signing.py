"""Standard Webhooks 1.0.0, symmetric: https://github.com/standard-webhooks/standard-webhooks.

Signed is ``{webhook-id}.{webhook-timestamp}.{raw body}`` with HMAC-SHA256. We sign ourselves: the reference library
takes text only and signs a wrong time when given one that is not UTC; the tests compare with it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from datetime import datetime

PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)
"""What the specification allows a secret to decode to."""


def key_of(secret: str) -> bytes:
    """The signing key in a secret; raises ValueError with a text that does not show it.

    ``whsec_...`` is the specification's form: base64 of 24 to 64 bytes. A secret without that prefix is taken as it
    is, as bytes of UTF-8, for receivers who share a plain password with us.
    """
    if not secret.startswith(PREFIX):
        if not secret:
            raise ValueError("is empty: write a secret, or leave the key out to send unsigned")
        return secret.encode()
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is no base64 after {PREFIX}: copy it whole, or make one of 32 random bytes") from None
    if len(key) not in _KEY_BYTES:
        raise ValueError(
            f"holds {len(key)} bytes after {PREFIX}, and must hold 24 to 64: make one of 32 random bytes"
        )
    return key


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """One ``v1,<base64>``; `timestamp` is in whole Unix seconds."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def headers(keys: Iterable[bytes], message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers; with several keys (a rotation) one signature for each, without any none."""
    timestamp = int(now.timestamp())
    signatures = " ".join(signature(key, message_id, timestamp, body) for key in keys)
    found = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    return found | {"webhook-signature": signatures} if signatures else found
