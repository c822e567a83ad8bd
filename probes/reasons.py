"""Why a look did not see what it should: a closed set, which is also the metric label and the docs' table.

Every reason says whose trouble it is. Only `Blame.TARGET` can make a check down or degraded; the others say that
the agent cannot know, and are never evidence for or against the target.
"""

from __future__ import annotations

from enum import StrEnum


class Blame(StrEnum):
    """Whose trouble a reason speaks of."""

    TARGET = "target"
    CANNOT_TELL = "cannot tell"
    US = "us"


_TARGET, _CANNOT_TELL, _US = Blame.TARGET, Blame.CANNOT_TELL, Blame.US


class Reason(StrEnum):
    """A failure reason: its value is the word in verdicts, events and metrics.

    `blame` says whose trouble it is, `meaning` is one sentence for people, `advice` is what to do about it.
    """

    blame: Blame
    meaning: str
    advice: str

    def __new__(cls, value: str, blame: Blame = Blame.US, meaning: str = "", advice: str = "") -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.blame, member.meaning, member.advice = blame, meaning, advice
        return member

    @property
    def timed_out(self) -> bool:
        """Whether the look ended at its time limit, waiting for the target."""
        return self.value.endswith("_timeout")

    @property
    def sure(self) -> bool:
        """Whether no loss of packets on the way looks like it, as somebody has said so in full: a run of such
        failures is an outage after a shorter time."""
        return self.value in _SURE

    @property
    def by_network(self) -> bool:
        """Whether a network of our own that is gone, or a resolver that lies without one, could look the same."""
        return self.value in _BY_NETWORK

    DNS_NXDOMAIN = (
        "dns_nxdomain", _TARGET, "the name does not exist",
        "check the name in the config, its zone, and whether the domain has expired",
    )  # fmt: skip
    DNS_NO_DATA = (
        "dns_no_data", _TARGET, "the name exists, but has no address",
        "give it an A or AAAA record; or correct the name, or the family asked for (ip: 4, ip: 6)",
    )  # fmt: skip
    REFUSED = (
        "refused", _TARGET, "nothing listens on the port",
        "start the service, or correct the port",
    )  # fmt: skip
    UNREACHABLE = (
        "unreachable", _TARGET, "the network says that the host cannot be reached",
        "see whether the host is up and whether a firewall rejects the agent",
    )  # fmt: skip
    CONNECT_TIMEOUT = (
        "connect_timeout", _TARGET, "no answer to the connection attempt",
        "see whether the host is up and whether a firewall swallows packets",
    )  # fmt: skip
    RESET = (
        "reset", _TARGET, "the connection was reset",
        "look for crashes, worker restarts or a proxy that gives up",
    )  # fmt: skip
    TLS_EXPIRED = (
        "tls_expired", _TARGET, "the certificate has expired",
        "renew the certificate, reload the server, compare the clocks",
    )  # fmt: skip
    TLS_NOT_YET = (
        "tls_not_yet", _TARGET, "the certificate is not valid yet",
        "compare the clocks of agent and server first; then see when it was issued",
    )  # fmt: skip
    TLS_NAME = (
        "tls_name", _TARGET, "the certificate is for another name",
        "serve the certificate of this name, or correct the name in the config",
    )  # fmt: skip
    TLS_UNTRUSTED = (
        "tls_untrusted", _TARGET, "the certificate's chain does not end at a trusted authority",
        "serve the intermediate certificates, or name the authority with ca_file",
    )  # fmt: skip
    TLS_SELF_SIGNED = (
        "tls_self_signed", _TARGET, "the certificate is signed by nobody but itself",
        "serve one of an authority, or name this one with ca_file",
    )  # fmt: skip
    TLS_CHAIN = (
        "tls_chain", _TARGET, "an intermediate certificate is missing",
        "serve the whole chain (fullchain), as many clients cannot fetch the missing part",
    )  # fmt: skip
    TLS_REVOKED = (
        "tls_revoked", _TARGET, "the authority has revoked the certificate",
        "have a new one issued; find out who had it revoked, and why",
    )  # fmt: skip
    TLS_PROTOCOL = (
        "tls_protocol", _TARGET, "the TLS handshake failed",
        "see whether the port speaks TLS, and which versions and ciphers it offers",
    )  # fmt: skip
    TLS_VERSION = (
        "tls_version", _TARGET, "server and agent have no TLS version in common",
        "offer TLS 1.2 or 1.3; or lower minimum_version, knowing that browsers refuse what is older",
    )  # fmt: skip
    TLS_PLAINTEXT = (
        "tls_plaintext", _TARGET, "the port does not speak TLS",
        "see what listens there; or use http://, or the port's STARTTLS",
    )  # fmt: skip
    TLS_CLOSED = (
        "tls_closed", _TARGET, "the server closed the connection during the TLS handshake",
        "look for crashes, a refused server name, or a proxy that knows no such host",
    )  # fmt: skip
    TLS_OCSP = (
        "tls_ocsp", _TARGET, "the stapled proof that the certificate is not revoked is missing or stale",
        "see whether the server can reach its authority's OCSP responder, and reload it",
    )  # fmt: skip
    TLS_TIMEOUT = (
        "tls_timeout", _TARGET, "the TLS handshake did not end in time",
        "look for an overloaded server or a proxy that hangs",
    )  # fmt: skip
    SEND_TIMEOUT = (
        "send_timeout", _TARGET, "the server took the request too slowly",
        "look for a server that accepts connections but does not read them",
    )  # fmt: skip
    FIRST_BYTE_TIMEOUT = (
        "first_byte_timeout", _TARGET, "no answer came in time",
        "look at what the application waits for: database, locks, workers all busy",
    )  # fmt: skip
    TRANSFER_TIMEOUT = (
        "transfer_timeout", _TARGET, "the answer began but did not end in time",
        "look for a slow back end behind the proxy, or a saturated line",
    )  # fmt: skip
    EMPTY_REPLY = (
        "empty_reply", _TARGET, "the server closed the connection without an answer",
        "look for a crash while the request was handled",
    )  # fmt: skip
    TRUNCATED = (
        "truncated", _TARGET, "the answer was cut off before its announced end",
        "look for a crash or a proxy limit while the body was sent",
    )  # fmt: skip
    PROTOCOL = (
        "protocol", _TARGET, "the answer breaks the protocol",
        "see what really listens there; look at the answer in the evidence",
    )  # fmt: skip
    ENCODING = (
        "encoding", _TARGET, "the body's compression is broken or one that was not asked for",
        "compare with curl --compressed; look for a proxy that compresses twice or cuts off",
    )  # fmt: skip
    TOO_LARGE = (
        "too_large", _TARGET, "the answer is larger than the limit",
        "raise max_bytes, or look at a smaller page; headers beyond the limit are the server's to mend",
    )  # fmt: skip
    STATUS = (
        "status", _TARGET, "the status is not one that was expected",
        "read the application's log at that time; or correct expect.status",
    )  # fmt: skip
    HEADER = (
        "header", _TARGET, "a header is not as expected",
        "compare the header in the evidence with expect.headers",
    )  # fmt: skip
    BODY = (
        "body", _TARGET, "the body is not as expected",
        "compare the excerpt in the evidence with the expectation",
    )  # fmt: skip
    VERSION = (
        "version", _TARGET, "the protocol's version is not as expected",
        "see what the server and the proxies before it offer; or correct the expected version",
    )  # fmt: skip
    RCODE = (
        "rcode", _TARGET, "the name server answered with another code than was expected",
        "read its log (zone not loaded, signatures expired, upstream gone); or correct expect.rcode",
    )  # fmt: skip
    ANSWER = (
        "answer", _TARGET, "the answer is not as expected",
        "compare the answer in the evidence with what is expected; the detail names the first difference",
    )  # fmt: skip
    REDIRECT = (
        "redirect", _TARGET, "the redirects lead nowhere",
        "follow them by hand: a loop, too many, or a place that cannot be asked",
    )  # fmt: skip
    MISSING = (
        "missing", _TARGET, "what should be looked at is not there",
        "see whether it was renamed, unmounted or removed; or correct the config",
    )  # fmt: skip
    HUNG = (
        "hung", _TARGET, "the operating system did not answer in time",
        "look for a hung mount or device; the look was left behind, nothing else waits for it",
    )  # fmt: skip
    QUERY_TIMEOUT = (
        "query_timeout", _TARGET, "the server took the query but did not answer it in time",
        "look at what it waits for: locks, a full disk, too many queries at once",
    )  # fmt: skip
    REPLY_TIMEOUT = (
        "reply_timeout", _TARGET, "no packet came back",
        "see whether the host is up, and whether something on the way drops pings",
    )  # fmt: skip
    TOO_MANY_CONNECTIONS = (
        "too_many_connections", _TARGET, "the server takes no more connections",
        "find who holds them; a pool in front, or a higher limit, keeps room",
    )  # fmt: skip
    NOT_READY = (
        "not_ready", _TARGET, "the server answers that it is starting, stopping, loading or recovering",
        "read its log; wait if it was restarted on purpose",
    )  # fmt: skip
    NOT_SERVING = (
        "not_serving", _TARGET, "the service itself says that it does not serve",
        "ask the service why: its log, its own dependencies",
    )  # fmt: skip
    PLUGIN_TIMEOUT = (
        "plugin_timeout", _TARGET, "the plug-in did not end in time and was stopped",
        "run it by hand; mostly its target hangs, else give it more time",
    )  # fmt: skip
    THRESHOLD = (
        "threshold", _TARGET, "a measurement crossed a threshold",
        "the condition and the value are in the event",
    )  # fmt: skip
    SLOW = (
        "slow", _TARGET, "it is slower than it has been at this hour",
        "see which phase has grown, and what was deployed or has changed since it began",
    )  # fmt: skip
    FAILING = (
        "failing", _TARGET, "too many looks fail, though not all",
        "look for one bad instance behind the load balancer, or an overloaded dependency",
    )  # fmt: skip

    BLOCKED = (
        "blocked", _CANNOT_TELL, "the target refuses to answer the agent (429, bot challenge)",
        "look less often, or let the agent through",
    )  # fmt: skip
    DNS_SERVFAIL = (
        "dns_servfail", _CANNOT_TELL, "the resolver could not answer",
        "look at the agent's resolver, then at the zone's name servers",
    )  # fmt: skip
    DNS_TIMEOUT = (
        "dns_timeout", _CANNOT_TELL, "the resolver did not answer in time",
        "look at the agent's resolver",
    )  # fmt: skip
    DNS_REFUSED = (
        "dns_refused", _CANNOT_TELL, "the resolver refuses to answer the agent",
        "let the agent's address ask it, or name another resolver",
    )  # fmt: skip
    DNS_PROTOCOL = (
        "dns_protocol", _CANNOT_TELL, "the resolver's answer makes no sense",
        "see what listens on the resolver's port, and what stands between it and the agent",
    )  # fmt: skip
    PROXY = (
        "proxy", _CANNOT_TELL, "the proxy between agent and target refused or failed",
        "look at the proxy: its log, its rules, the password in the config",
    )  # fmt: skip
    LOGIN = (
        "login", _CANNOT_TELL, "the token endpoint gave the agent no token",
        "try client_id and client_secret by hand; the detail has its answer",
    )  # fmt: skip
    TLS_CLIENT = (
        "tls_client", _CANNOT_TELL, "the server wants a client certificate, or refuses the agent's",
        "give the check its certificate and key; see whether it has expired and whom the server trusts",
    )  # fmt: skip
    UNSUPPORTED = (
        "unsupported", _CANNOT_TELL, "this system does not offer what should be measured",
        "drop the check, or look from another machine",
    )  # fmt: skip
    DENIED = (
        "denied", _CANNOT_TELL, "the agent cannot look there: it lacks a right or a file",
        "give the agent the right it lacks, or correct the path; the detail names it",
    )  # fmt: skip
    SOURCE = (
        "source", _CANNOT_TELL, "what should tell about the target cannot be read itself",
        "look at the source: the Prometheus server, the log file, the registry; the detail names it",
    )  # fmt: skip
    QUERY = (
        "query", _CANNOT_TELL, "the query cannot be answered as it is written",
        "run it by hand; the detail has the server's complaint",
    )  # fmt: skip
    PLUGIN_UNKNOWN = (
        "plugin_unknown", _CANNOT_TELL, "the plug-in says that it cannot tell (exit 3), or could not be run",
        "run it by hand as the agent's user; its output is in the evidence",
    )  # fmt: skip
    NO_DATA = (
        "no_data", _CANNOT_TELL, "no look has told anything yet",
        "wait for the first look",
    )  # fmt: skip

    NO_ROUTE = (
        "no_route", _US, "the agent's host has no network to go by",
        "look at the agent's own network",
    )  # fmt: skip
    OWN_NETWORK = (
        "own_network", _US, "the agent's own network was gone at that time",
        "look at the agent's own network; its page and the event agent.impaired say what did not answer",
    )  # fmt: skip
    JOURNAL = (
        "journal", _US, "the agent cannot write its journal",
        "free the disk or mend it; its page and its log say what is wrong with it",
    )  # fmt: skip
    NO_DESCRIPTORS = (
        "no_descriptors", _US, "the agent has no file descriptors, ports or memory left",
        "raise the limits of the agent's service",
    )  # fmt: skip
    LATE = (
        "late", _US, "the agent was too late to measure: overloaded, paused, or its clock stepped",
        "give the agent more CPU, or fewer checks",
    )  # fmt: skip
    OVERRUN = (
        "overrun", _US, "the probe did not end within its time limit and was stopped",
        "report it: a probe must end by itself, with the reason",
    )  # fmt: skip
    PROBE_BUG = (
        "probe_bug", _US, "the probe raised an error of its own",
        "report it with the traceback from the agent's log",
    )  # fmt: skip


_SURE = frozenset(
    {
        "dns_nxdomain", "tls_expired", "tls_not_yet", "tls_name", "tls_untrusted", "tls_self_signed", "tls_chain",
        "tls_revoked",
    }
)  # fmt: skip

_BY_NETWORK = frozenset(
    {
        "dns_nxdomain", "dns_no_data", "refused", "unreachable", "connect_timeout", "reset", "tls_protocol",
        "tls_closed", "tls_plaintext", "tls_timeout", "reply_timeout",
        "send_timeout", "first_byte_timeout", "transfer_timeout", "empty_reply", "truncated", "query_timeout",
        "rcode", "answer", "plugin_timeout",
    }
)  # fmt: skip
"""By value: the members are read one by one, as they are made."""
