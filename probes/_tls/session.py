"""TLS between two memory buffers: the handshake and the records, no I/O."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Callable

from probes._look import visible
from probes._tls.chain import Described, described
from probes._tls.handshake import Peer, Unheard, closed_early, handshake_failure, overhear
from probes.contract import LookFailed, Reason

_CHUNK = 65_536
_HEAD = 80
_RECORDS = (0x16, 0x15)  # handshake, alert: RFC 8446, 5.1
_MOST_TROUBLED = 1024

_OVERHEARD = getattr(ssl.SSLContext.__base__, "_msg_callback", None)
"""The ssl module's own hook for debugging, since 3.8, less its conversions; not of its promises. Set in a context it
is for the connections made while it is set, and heard by those only while it is set again."""

_troubled: OrderedDict[str, None] = OrderedDict()
"""Server names whose last handshake has failed: the next one is overheard at once."""


class TlsSession:
    """A client. `feed` what comes during the handshake, later put it into `incoming`; send what is in `outgoing`."""

    __slots__ = ("_context", "_head", "_listening", "_name", "_show", "broken_off", "incoming", "outgoing", "peer")

    def __init__(self, context: ssl.SSLContext, server_name: str, show: Callable[[str, int], str] = visible) -> None:
        """`show` takes secrets out of what a proxy may have echoed. Raises `LookFailed` when this is no name that can
        be asked for."""
        self._show = show
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._context = context
        self._head = b""
        self._name = server_name
        self.broken_off = False
        """Whether the connection has ended without the goodbye of TLS: then anybody may have ended it."""
        self._listening = server_name in _troubled and _OVERHEARD is not None
        self._listen(on=True)
        try:
            self.peer = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name)
        except ValueError as error:
            raise LookFailed(Reason.TLS_NAME, f"{server_name!r} cannot be a server name") from error
        finally:
            self._listen(on=False)

    def shake(self) -> bool:
        """One step of the handshake; True when it is done. Send `outgoing` after every step. Raises `LookFailed`:
        `Unheard` when another handshake would tell more."""
        self._listen(on=True)
        try:
            self.peer.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            self._check_head()
            raise self._failure(error) from error
        finally:
            self._listen(on=False)
        if self._listening:
            _troubled.pop(self._name, None)
        return True

    def feed(self, data: bytes) -> None:
        """Bytes of the handshake; b"" when there will be no more, which raises `LookFailed`."""
        if not data:
            self._check_head()
            raise closed_early()
        if len(self._head) < _HEAD:
            self._head += data[:_HEAD]
        self.incoming.write(data)

    def failed(self, failure: LookFailed, evidence: dict[str, str]) -> None:
        """A handshake has ended in `failure`: puts what was sent in it into `evidence`. Raises `LookFailed` when it
        means something else."""
        sent = self.peer.sent() if isinstance(self.peer, Peer) else ()
        if sent:
            evidence.update(described(sent[0], lambda: sent).evidence)
        if failure.reason is Reason.RESET:
            self._check_head()
            raise closed_early("reset") from failure

    def read(self) -> bytes | None:
        """Plaintext; b"" at the end; None when more bytes are needed. Raises `LookFailed`: what TLS 1.3 says of our
        certificate comes only now."""
        try:
            return self.peer.read(_CHUNK)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError:
            self.broken_off = True  # whether the answer was complete is for HTTP to say
            return b""
        except ssl.SSLError as error:
            raise handshake_failure(error, self.peer, self._name) from error

    def hear(self, data: bytes) -> None:
        """The last that came of a connection that broke. Raises `LookFailed` when it is about our certificate."""
        self.incoming.write(data)
        try:
            while self.read():
                pass
        except LookFailed as failure:
            if failure.reason is Reason.TLS_CLIENT:
                raise

    def certificates(self) -> Described:
        """What there is to tell of the server's certificates, verified or not."""
        peer = self.peer
        if isinstance(peer, Peer):
            return described(peer.leaf(), peer.path)
        leaf = peer.getpeercert(binary_form=True) or b""
        return described(leaf, lambda: (leaf,) if leaf else ())

    def _failure(self, error: ssl.SSLError) -> LookFailed:
        failure = handshake_failure(error, self.peer, self._name)
        _troubled[self._name] = None
        if len(_troubled) > _MOST_TROUBLED:
            _troubled.popitem(last=False)
        return failure if self._listening or _OVERHEARD is None else Unheard(failure.reason, failure.detail)

    def _listen(self, *, on: bool) -> None:
        if self._listening and _OVERHEARD is not None:
            _OVERHEARD.__set__(self._context, overhear if on else None)

    def _check_head(self) -> None:
        """Records of TLS begin with their kind, then 3: what begins otherwise was never TLS."""
        head = self._head
        if head and (head[0] not in _RECORDS or head[1:2] not in (b"", b"\x03")):
            text = self._show(head.decode("latin-1"), 60)
            raise LookFailed(Reason.TLS_PLAINTEXT, f"the server does not speak TLS; it says {text}")
