"""The public page's port is taken: nothing is left half started. The agent's own port, and a second agent on one
state directory, are tested with the command line (tests/commands)."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.end_to_end.rig import Receiver, agent, free_address
from tests.end_to_end.stage import page, write_checks


async def test_the_port_of_the_public_page_is_taken(tmp_path: Path) -> None:
    host, port = free_address()
    with socket.create_server((host, 0)) as taken:
        where = f"{host}:{taken.getsockname()[1]}"
        file = write_checks(
            tmp_path,
            Receiver(url="http://127.0.0.1:1/hook"),
            page("home", "http://127.0.0.1:1/"),
            listen=f"{host}:{port}",
            agent=f"  public: {{listen: {where}}}\n",
        )
        with agent(tmp_path, "run", file) as running:
            assert await running.ended() == 2
    assert f"cannot listen on {where}: Address already in use" in running.log
    assert "write another agent.public.listen; nothing was started" in running.log
    assert not (tmp_path / "state").exists()
    socket.create_server((host, port)).close()
