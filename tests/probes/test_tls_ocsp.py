"""Stapled OCSP answers, by OpenSSL's own server: good, stale, revoked, forged, promised and not kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from probes._tls.ocsp import Stapled, judge
from probes.contract import Context, LookFailed, Observation, Reason
from probes.tls import Tls
from tests.probes.judged import prompt_look
from tests.servers.authority import Authority
from tests.servers.openssl import openssl_server
from tests.servers.talker import HANG, HEAR, talker

Make = Callable[..., Context]
DAY = timedelta(days=1)


async def seen_with(
    answer: bytes | None, context: Context, authority: Authority, folder: Path, name: str = "chained", **fields: Any
) -> Observation:
    options: tuple[str, ...] = ()
    if answer is not None:
        (folder / "answer").write_bytes(answer)
        options = ("-status_file", str(folder / "answer"))
    with openssl_server(authority, name, *options, *fields.pop("options", ())) as port:
        probe = Tls(f"localhost:{port}", **{"ca_file": authority.file, "ocsp": "check", **fields})
        return await prompt_look(probe, context)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_a_good_one(context: Context, authority: Authority, tmp_path: Path, version: str) -> None:
    answer = authority.ocsp_answer("chained")
    seen = await seen_with(answer, context, authority, tmp_path, ocsp="required", options=(version,))
    assert seen.ok, seen
    assert seen.evidence["ocsp"].startswith("good until 20")
    assert 6.5 * 86400 < seen.measurements["ocsp_expires_in"] < 7 * 86400
    assert list(seen.phases) == ["resolve", "connect", "tls", "ocsp"]
    assert seen.measurements["response_time"] == pytest.approx(seen.phases["connect"] + seen.phases["tls"])


async def test_bad_ones(context: Context, authority: Authority, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    good = authority.ocsp_answer("chained")
    for answer, reason, why in (
        (authority.ocsp_answer("chained", revoked=True), Reason.TLS_REVOKED, "revoked on 20"),
        (authority.ocsp_answer("chained", unknown=True), Reason.TLS_OCSP, "does not know this certificate"),
        (authority.ocsp_answer("chained", at=now - 9 * DAY), Reason.TLS_OCSP, "the proof has ended on"),
        (authority.ocsp_answer("chained", at=now + DAY), Reason.TLS_OCSP, "which is yet to come"),
        (authority.ocsp_answer("chained", by="stranger"), Reason.TLS_OCSP, "not signed by"),
        (authority.ocsp_answer("no_chain"), Reason.TLS_OCSP, "about another certificate"),
        (good[:-1] + bytes([good[-1] ^ 1]), Reason.TLS_OCSP, "not signed by"),
        (b"\x30\x03\x0a\x01\x03", Reason.TLS_OCSP, "try later"),
    ):
        seen = await seen_with(answer, context, authority, tmp_path)
        assert (seen.reason, why in seen.detail) == (reason, True), seen


async def test_none_is_fine_unless_it_is_required_or_promised(
    context: Context, authority: Authority, tmp_path: Path
) -> None:
    seen = await seen_with(None, context, authority, tmp_path)
    assert (seen.reason, seen.evidence["ocsp"]) == (None, "nothing stapled")
    assert "ocsp_expires_in" not in seen.measurements
    for name, ocsp in (("chained", "required"), ("must_staple", "check"), ("must_staple", "required")):
        seen = await seen_with(None, context, authority, tmp_path, name, ocsp=ocsp)
        assert seen.reason is Reason.TLS_OCSP, seen
        assert ("must-staple" in seen.detail) is (ocsp == "check")
    kept = authority.ocsp_answer("must_staple")
    assert (await seen_with(kept, context, authority, tmp_path, "must_staple")).ok


async def test_by_a_root_that_is_not_sent(context: Context, authority: Authority, tmp_path: Path) -> None:
    """The first handshake has found it; without verifying nobody knows who has signed."""
    answer = authority.ocsp_answer("good")
    seen = await seen_with(answer, context, authority, tmp_path, "good")
    assert seen.evidence["ocsp"].endswith("UTC")
    seen = await seen_with(answer, context, authority, tmp_path, "good", verify=False)
    assert seen.evidence["ocsp"].endswith(", by whom is not known")


async def test_a_server_that_wants_a_client_certificate(
    context: Context, authority: Authority, tmp_path: Path
) -> None:
    wants = ("-Verify", "2", "-verify_return_error", "-CAfile", authority.file, "-tls1_2")
    mine = {"certificate": authority.path("client"), "key": authority.key("client")}
    seen = await seen_with(authority.ocsp_answer("chained"), context, authority, tmp_path, options=wants, **mine)
    assert seen.ok, seen


@pytest.mark.parametrize(("turns", "reason"), [((HEAR, HANG), Reason.TLS_TIMEOUT), ((HEAR,), Reason.TLS_CLOSED)])
async def test_a_server_that_hangs(make_context: Make, turns: tuple[str, ...], reason: Reason) -> None:
    with talker(*turns) as (port, _):
        seen = await prompt_look(Tls(f"localhost:{port}", ocsp="check"), make_context(0.3))
    assert seen.reason is reason


_UNDER_SYSTEMD = """
import asyncio, ctypes, sys
from probes._names.system_resolver import SystemResolver
from probes._tls.contexts import SharedTls
from probes.contract import Context
from probes.tls import Tls
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, Linux 6.3
    sys.exit("this kernel cannot forbid it")
probe = Tls(sys.argv[1], ca_file=sys.argv[2], ocsp="required")
seen = asyncio.run(probe.look(Context(20, SystemResolver(), SharedTls(), {})))
print(seen.reason, seen.evidence.get("ocsp"), seen.detail)
"""


def test_where_memory_is_never_both_written_and_executed(authority: Authority, tmp_path: Path) -> None:
    """As our systemd unit has it (MemoryDenyWriteExecute); cffi's callbacks cannot be made there."""
    (tmp_path / "answer").write_bytes(authority.ocsp_answer("chained"))
    with openssl_server(authority, "chained", "-status_file", str(tmp_path / "answer")) as port:
        command = [sys.executable, "-c", _UNDER_SYSTEMD, f"localhost:{port}", authority.file]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "cannot forbid" in ran.stderr or ran.stdout.startswith("None good until"), ran


def test_an_answer_changed_anywhere_is_never_good(authority: Authority) -> None:
    """But for what is not signed: lengths that are said in another way, the responder's certificates."""
    leaf, issuer = authority.certificate("chained"), authority.signers["intermediate"].certificate
    sent = tuple(each.public_bytes(Encoding.DER) for each in (leaf, issuer))
    good = authority.ocsp_answer("chained")
    now = datetime.now(UTC)
    assert judge(Stapled(good, sent), (), required=True, now=now)[1].startswith("good")
    told = 0
    for at in range(len(good)):
        changed = good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :]
        try:
            judge(Stapled(changed, sent), (), required=True, now=now)
        except LookFailed as failed:
            assert failed.reason in (Reason.TLS_OCSP, Reason.TLS_REVOKED)  # noqa: PT017
        else:
            told += 1
    assert told == 0


@settings(max_examples=100, deadline=None)
@given(data=st.binary(min_size=1, max_size=200))
def test_anything_is_read_or_refused(authority: Authority, data: bytes) -> None:
    leaf = authority.certificate().public_bytes(Encoding.DER)
    with pytest.raises(LookFailed):
        judge(Stapled(data, (leaf,)), (), required=False, now=datetime.now(UTC))
