"""HTTP/1.1: bytes, bodies, requests and where they lead."""
