"""Watching, and asking how everything stands."""

from __future__ import annotations

from pathlib import Path

from monitor.options._shared import Add, take_agent, take_file, take_json


def watching(add: Add) -> None:
    run = add("run", "watch, judge and tell, until stopped")
    take_file(run)

    validate = add("validate", "check the configuration and tell every fault at once")
    take_file(validate)
    take_json(validate)

    look = add("look", "take one look now: phases, measurements, verdict, and why")
    take_file(look)
    look.add_argument("name", metavar="NAME", help="the check's name or id")
    look.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="take so many, one after another (%(default)s)"
    )
    look.add_argument("--trace", action="store_true", help="show all that goes over the wire, without secrets")
    take_json(look)

    schema = add("schema", "print the JSON Schema of checks.yaml, for editors")
    schema.add_argument("--event", action="store_true", help="print the schema of events (the webhook body) instead")

    demo = add("demo", "the whole product in a minute: a sample shop goes bad and recovers")
    demo.add_argument("--port", type=int, default=9788, help="where the agent's page is served (%(default)s)")
    demo.add_argument(
        "--export", type=Path, metavar="SVG", help="write the screen of the outage as a picture instead of showing it"
    )


def asking(add: Add) -> None:
    status = add("status", "how everything stands, from a running agent")
    take_agent(status, "read, where reading is protected")

    reload = add("reload", "have the running agent read its file again, and tell what changed")
    take_file(reload)
    reload.add_argument("--url", default="", help="where the agent listens (what FILE says)")
    reload.add_argument(
        "--token-file",
        type=Path,
        metavar="TOKEN",
        help="a file with a token of agent.tokens that has the scope admin (else $BROWNOUT_TOKEN; else SIGHUP)",
    )
    take_json(reload)
