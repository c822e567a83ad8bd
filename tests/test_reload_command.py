"""`brownout reload` with a token: it asks the agent of this file, and gives the token to nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from monitor.cli import main
from tests.commands.called import held

TOKEN = "a-token-for-deployments"
ACCEPTED = {"accepted": True, "sentence": "nothing has changed", "faults": []}


@dataclass
class Agent:
    """What answers on a port: a Brownout agent, or somebody else."""

    file: Path | None
    protected: bool = False
    """Reading takes a token, and ours does not have that scope."""
    asked: list[tuple[str, str, bool]] = field(default_factory=list)
    """(method, path, whether the token was sent)"""
    url: str = ""

    def answer(self, method: str, path: str, token: bool) -> tuple[int, object]:
        self.asked.append((method, path, token))
        if self.file is None:
            return 404, {}
        if method == "POST":
            return (200, ACCEPTED) if token else (401, {})
        if self.protected:
            return (403, {"detail": "The token deploy lacks the scope read."}) if token else (401, {})
        return 200, {"file": str(self.file), "loaded": "2026-03-01T12:00:00.000Z", "reload": None}


@contextmanager
def answering(agent: Agent) -> Iterator[Agent]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            status, document = agent.answer(self.command, self.path, token)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  (the library's name)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        agent.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield agent
        server.shutdown()


@dataclass
class Place:
    """A file, and the state directory that it names."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "checks.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def wrote(self, url: str) -> None:
        (self.state / "agent.url").write_text(f"{url}/\n")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("BROWNOUT_TOKEN", TOKEN)
    monkeypatch.setattr("monitor.commands._asking.INSTALLED", tmp_path / "installed")
    place = Place(tmp_path)
    place.state.mkdir()
    place.file.write_text(f'agent: {{state_dir: {place.state}, listen: "127.0.0.1:1"}}\nchecks: []\n')
    return place


def test_the_agent_of_this_file_is_asked(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(Agent(place.file)) as agent, held(place.state):
        place.wrote(agent.url)
        assert main(["reload", str(place.file)]) == 0
    assert capsys.readouterr().out == "nothing has changed\n"
    assert agent.asked == [("GET", "/api/v1/config", False), ("POST", "/api/v1/reload", True)]


def test_an_agent_that_watches_another_file_is_not_asked(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """`brownout reload staging.yaml`, where only production runs."""
    installed = place.folder / "installed"
    installed.mkdir()
    with answering(Agent(Path("/etc/brownout/checks.yaml"))) as agent, held(installed):
        (installed / "agent.url").write_text(agent.url)
        assert main(["reload", str(place.file)]) == 2
    told = capsys.readouterr().err
    assert f"watches /etc/brownout/checks.yaml, and not {place.file}: name that file" in told
    assert not any(token for _, _, token in agent.asked)


def test_what_an_agent_that_was_killed_has_left_is_not_believed(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(Agent(None)) as somebody:
        place.wrote(somebody.url)
        assert main(["reload", str(place.file)]) == 2
    assert "no agent answers at http://127.0.0.1:1" in capsys.readouterr().err
    assert somebody.asked == []


@pytest.mark.parametrize("installed", [False, True])
def test_where_reading_takes_another_scope_only_the_agent_of_this_state_directory_is_asked(
    place: Place, capsys: pytest.CaptureFixture[str], installed: bool
) -> None:
    directory = place.folder / "installed" if installed else place.state
    directory.mkdir(exist_ok=True)
    with answering(Agent(place.file, protected=True)) as agent, held(directory):
        (directory / "agent.url").write_text(agent.url)
        assert main(["reload", str(place.file)]) == (2 if installed else 0)
    if installed:
        assert "lacks the scope read" in (told := capsys.readouterr().err)
        assert "use --url" in told


def test_who_names_the_address_is_believed(place: Place) -> None:
    with answering(Agent(Path("/elsewhere.yaml"))) as agent:
        assert main(["reload", str(place.file), "--url", agent.url]) == 0
    assert agent.asked == [("POST", "/api/v1/reload", True)]


@pytest.mark.parametrize(
    "secret",
    [
        "first-line-of-a-key-01\nsecond-line-of-a-key",
        "two words-of-a-secret-01",
        "pässword-of-somebody-01",
        "short-secret",
    ],
    ids=["lines", "words", "no ASCII", "short"],
)
@pytest.mark.parametrize("source", ["file", "variable"])
def test_what_is_no_token_is_neither_sent_nor_shown(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, source: str, secret: str
) -> None:
    """A private key, or a file with a secret a line: what the library says of a bad header holds the header."""
    given = []
    if source == "file":
        (place.folder / "token").write_text(f"{secret}\n")
        given = ["--token-file", str(place.folder / "token")]
    else:
        monkeypatch.setenv("BROWNOUT_TOKEN", secret)
    with answering(Agent(place.file)) as agent:
        assert main(["reload", str(place.file), "--url", agent.url, *given]) == 2
    told = capsys.readouterr()
    assert "holds no token: it must be 16 to 256 letters, digits and -._~+/=, on one line" in told.err
    assert not any(part in told.out + told.err for part in secret.replace("\n", " ").split())
    assert agent.asked == []


def test_a_token_of_one_line_is_read_from_its_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROWNOUT_TOKEN")
    (place.folder / "token").write_text(f"{TOKEN}\r\n")
    with answering(Agent(place.file)) as agent:
        assert main(["reload", "--url", agent.url, "--token-file", str(place.folder / "token")]) == 0
    assert agent.asked == [("POST", "/api/v1/reload", True)]
