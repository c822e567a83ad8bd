"""Answers of HTTP servers as bytes."""

from __future__ import annotations


def answer(status: int = 200, body: bytes = b"hello", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
