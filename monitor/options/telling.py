"""What is kept from people, who is called, and whether the way to them works."""

from __future__ import annotations

from monitor.options._shared import Add, take_agent


def announcing(add: Add) -> None:
    maintain = add("maintain", "announce maintenance: nothing is paged for it until it ends; or list it, or end it")
    maintain.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="checks, services, labels (tier=web); without any, windows are listed",
    )
    maintain.add_argument("--for", dest="lasts", metavar="SPAN", help="how long, such as 2h; it always ends")
    maintain.add_argument("--until", metavar="TIME", help="until then, such as 2026-12-01T22:00:00Z")
    maintain.add_argument("--why", default="", metavar="TEXT", help="what is done; shown with what is in maintenance")
    maintain.add_argument("--end", action="store_true", help="end windows now: by their ids, or by what they cover")
    take_agent(maintain, "operate")

    silence = add("silence", "tell nobody of what a matcher takes, until it ends; or list silences, or end one")
    silence.add_argument(
        "when", metavar="WHEN", nargs="?", default="",
        help='what, as in a route: "service = shop and impact = degradation"; without it, silences are listed',
    )  # fmt: skip
    silence.add_argument("--for", dest="lasts", metavar="SPAN", help="how long, such as 2h; it always ends")
    silence.add_argument("--until", metavar="TIME", help="until then, such as 2026-12-01T22:00:00Z")
    silence.add_argument("--why", default="", metavar="TEXT", help="why; shown with the silence")
    silence.add_argument("--end", default="", metavar="ID", help="end this one now")
    take_agent(silence, "operate")


def calling(add: Add) -> None:
    oncall = add("oncall", "who is on call, and who comes next")
    oncall.add_argument("--at", default="", metavar="TIME", help='then, such as "2026-12-25 10:00" (now)')
    take_agent(oncall, "read")

    drill = add("drill", "play an incident through the live path, marked as a drill, and see who is reached and when")
    drill.add_argument("what", metavar="WHAT", choices=("outage", "degradation"), help="outage or degradation")
    drill.add_argument("service", metavar="SERVICE", help="the service that is said to have it")
    drill.add_argument(
        "--sinks",
        action="append",
        default=[],
        metavar="NAMES",
        help="only these, commas between (those of the routes)",
    )
    drill.add_argument(
        "--for", dest="lasts", metavar="SPAN", default="1m", help="until it resolves: at most 1h (%(default)s)"
    )
    take_agent(drill, "operate")


def marking(add: Add) -> None:
    actions = add("actions", "what is done about incidents by itself; stop all of it at once, or start it again")
    switch = actions.add_mutually_exclusive_group()
    switch.add_argument("--stop", action="store_true", help="take no action any more, and end what runs")
    switch.add_argument("--start", action="store_true", help="take them again, for what happens from now on")
    take_agent(actions, "operate")

    sinks = add("sinks", "how the sinks stand; send one a test; list dead letters, or send them again")
    sinks.add_argument(
        "action", metavar="ACTION", nargs="?", choices=("list", "test", "dead", "replay"), default="list",
        help="list (without any), test NAME, dead, replay ID or replay --all",
    )  # fmt: skip
    sinks.add_argument("name", metavar="NAME", nargs="?", help="of test: the sink; of replay: the id of the event")
    sinks.add_argument("--all", action="store_true", help="of replay: all dead letters")
    sinks.add_argument("--sink", default="", metavar="NAME", help="of replay: only those for this sink")
    take_agent(sinks, "operate")

    mark = add("mark", "tell the agent what was deployed: what breaks soon after is told beside it")
    mark.add_argument("what", choices=("deploy",), metavar="deploy", help="what happened: deploy")
    mark.add_argument("version_name", metavar="VERSION", help="which version was deployed, such as v42")
    mark.add_argument(
        "--service", dest="services", action="append", default=[], metavar="NAME",
        help="only of this service; may be repeated (all)",
    )  # fmt: skip
    mark.add_argument("--environment", default="", metavar="NAME", help="where to, such as production")
    mark.add_argument("--by", default="", metavar="WHO", help="who has deployed; the token's name is told besides")
    mark.add_argument("--link", default="", metavar="URL", help="where to read more of it")
    mark.add_argument("--at", metavar="TIME", help="when, such as 2026-12-01T22:00:00Z (now)")
    take_agent(mark, "operate")
