"""What the http probe measures."""

from __future__ import annotations

from probes._wire.figures import CONNECT_TIME, RESOLVE_TIME, certificate_expires_in, tls_time
from probes.contract import Measurement, Reason, Unit

MEASUREMENTS = (
    Measurement(
        "response_time",
        Unit.SECONDS,
        "From after name resolution to the last byte of the final answer.",
        cut_by=Reason.TRANSFER_TIMEOUT,
    ),
    RESOLVE_TIME,
    CONNECT_TIME,
    tls_time("https"),
    Measurement(
        "first_byte_time",
        Unit.SECONDS,
        "From the request sent to the first byte of the answer.",
        cut_by=Reason.FIRST_BYTE_TIMEOUT,
    ),
    Measurement(
        "transfer_time",
        Unit.SECONDS,
        "From the first byte of the answer to its last.",
        cut_by=Reason.TRANSFER_TIMEOUT,
    ),
    Measurement(
        "round_trip_time",
        Unit.SECONDS,
        "To the server of the final answer and back, by the kernel: what the network takes. Linux, no proxy.",
        cut_by=Reason.CONNECT_TIMEOUT,
    ),
    Measurement(
        "server_time",
        Unit.SECONDS,
        "`first_byte_time` less the way there and back: what the server takes. Linux, no proxy.",
        cut_by=Reason.FIRST_BYTE_TIMEOUT,
    ),
    Measurement("proxy_time", Unit.SECONDS, "Until the proxy had opened the way to the target; only with one."),
    certificate_expires_in("https"),
    Measurement("body_size", Unit.BYTES, "Body of the final answer, unpacked."),
    Measurement("transfer_size", Unit.BYTES, "The same as it came; only of a body that came compressed."),
)
