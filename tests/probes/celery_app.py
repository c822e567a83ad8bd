"""A Celery application for tests: its broker is named by the environment."""

from __future__ import annotations

import os
import time

from celery import Celery

app = Celery("shop", broker=os.environ.get("TEST_BROKER", "redis://127.0.0.1:1/0"))
app.conf.update(
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"priority_steps": [0, 3, 6, 9], "sep": "\x06\x16", "queue_order_strategy": "priority"},
)


@app.task(name="shop.nap")
def nap(seconds: float, _whom: str = "") -> None:
    time.sleep(seconds)
