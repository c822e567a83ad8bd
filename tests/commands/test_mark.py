"""`brownout mark deploy`: what it sends, what it says, and what it says where that was wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.commands.called import called

TOKEN = "ci-token-0123456789"
DEPLOY = {"id": "dep_1", "version": "v42", "at": "2026-03-02T13:59:15.000Z", "services": ["shop"]}


class Agent(HTTPServer):
    """Answers what it is told to."""

    status, answer = 201, DEPLOY
    asked: tuple[str, str, Any] = ("", "", None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        agent = self.server
        assert isinstance(agent, Agent)
        agent.asked = (self.path, self.headers["Authorization"], body)
        self.send_response(agent.status)
        self.end_headers()
        self.wfile.write(json.dumps(agent.answer).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def mark(agent: Agent, *more: str, token: str = TOKEN) -> Any:
    return called("mark", "deploy", "v42", "--url", agent.url, *more, BROWNOUT_TOKEN=token)


def test_it_says_what_was_marked(agent: Agent) -> None:
    done = mark(agent, "--service", "shop", "--environment", "production", "--by", "ann", "--link", "https://ci/1")
    assert done.returncode == 0
    assert done.stdout == (
        "marked: deploy v42 of shop, at 2026-03-02T13:59:15.000Z; what begins within an hour names it\n"
    )
    body = {"version": "v42", "services": ["shop"], "environment": "production", "by": "ann", "url": "https://ci/1"}
    assert agent.asked == ("/api/v1/deploys", f"Bearer {TOKEN}", body)
    agent.status = 200
    assert mark(agent).stdout == "deploy v42 of shop was marked already, at 2026-03-02T13:59:15.000Z\n"
    assert json.loads(mark(agent, "--json").stdout) == DEPLOY


def test_it_says_what_was_wrong(agent: Agent) -> None:
    assert "this needs a token with the scope operate" in mark(agent, token="").stderr
    agent.status, agent.answer = 400, {"detail": "Nothing was marked: service 1 is none of this agent.\x1b[2J"}
    done = mark(agent)
    assert (done.returncode, "\x1b" in done.stderr) == (2, False)
    assert "the agent refused: Nothing was marked: service 1 is none of this agent." in done.stderr
    agent.status, agent.answer = 201, {"hello": "world"}
    assert "is not a Brownout agent" in mark(agent).stderr
    done = called("mark", "deploy", "v42", "--url", "http://127.0.0.1:1", BROWNOUT_TOKEN=TOKEN)
    assert "no agent answers at http://127.0.0.1:1" in done.stderr
    assert called("mark", "incident", "v42").returncode == 2
