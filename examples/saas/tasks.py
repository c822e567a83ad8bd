"""What the workers do."""

from __future__ import annotations

import time


def send_confirmation(order: int) -> str:
    """Would send a mail about the order; takes as long as a quick mail server."""
    time.sleep(0.02)
    return f"confirmed {order}"
