"""The bare dialogue in C, plain and by TLS: what a look cannot do without, and nothing else.

A blocking socket, one dialogue after another: `socket`, `connect`, `send`, `recv` until the end, `close`. With TLS
they are OpenSSL's own, with one context for all, no sessions, and the certificate and its name verified.

And the plain one with several in flight, by epoll: it hardly ever sleeps, which on a virtual machine is a third to a
half of what the other costs.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

_HEAD = """\
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
static const char *ask = "GET / HTTP/1.1\\r\\nHost: bench\\r\\nConnection: close\\r\\n\\r\\n";
static char answer[65536];
static double used(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
static int dialled(int port, int host) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(0x7f000001 + host);
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&to, sizeof to)) exit(1);
    return sock;
}
"""

_PLAIN = """\
int main(int argc, char **argv) {
    int port = atoi(argv[1]), looks = atoi(argv[2]), hosts = atoi(argv[3]), got;
    double before = used();
    for (int look = 0; look < looks; look++) {
        int sock = dialled(port, look % hosts);
        if (send(sock, ask, strlen(ask), 0) < 0) return 1;
        if ((got = recv(sock, answer, sizeof answer, 0)) <= 0) return 1;
        close(sock);
    }
    printf("%f\\n", (used() - before) / looks * 1e6);
}
"""
"""It reads once: the whole answer is one segment, and says by its length that it is."""

_MANY = """\
#include <errno.h>
#include <sys/epoll.h>
static int port, hosts, begun, told[1024];
static void begin(int watch) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(0x7f000001 + begun++ % hosts);
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event news = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = sock};
    if (sock < 0 || sock >= 1024 || epoll_ctl(watch, EPOLL_CTL_ADD, sock, &news)) exit(1);
    told[sock] = 0;
    if (connect(sock, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) exit(1);
}
int main(int argc, char **argv) {
    int looks = atoi(argv[2]), at_once = atoi(argv[4]), watch = epoll_create1(0), done = 0;
    struct epoll_event news[64];
    port = atoi(argv[1]), hosts = atoi(argv[3]);
    double before = used();
    while (begun < at_once) begin(watch);
    while (done < looks) {
        int count = epoll_wait(watch, news, 64, -1);
        for (int each = 0; each < count; each++) {
            int sock = news[each].data.fd;
            if ((news[each].events & EPOLLOUT) && !told[sock]) {
                told[sock] = 1;
                if (send(sock, ask, strlen(ask), 0) < 0) return 1;
            }
            if (!(news[each].events & EPOLLIN) || recv(sock, answer, sizeof answer, 0) <= 0) continue;
            close(sock);
            done++;
            if (begun < looks) begin(watch);
        }
    }
    printf("%f\\n", (used() - before) / looks * 1e6);
}
"""

_TLS = """\
#include <openssl/ssl.h>
int main(int argc, char **argv) {
    int port = atoi(argv[1]), looks = atoi(argv[2]), hosts = atoi(argv[3]);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (!SSL_CTX_load_verify_locations(context, argv[4], NULL)) return 1;
    double before = used();
    for (int look = 0; look < looks; look++) {
        int sock = dialled(port, look % hosts);
        SSL *tls = SSL_new(context);
        SSL_set_fd(tls, sock);
        SSL_set_tlsext_host_name(tls, "bench.test");
        SSL_set1_host(tls, "bench.test");
        if (SSL_connect(tls) != 1 || SSL_write(tls, ask, strlen(ask)) <= 0) return 1;
        if (SSL_read(tls, answer, sizeof answer) <= 0) return 1;
        SSL_free(tls);
        close(sock);
    }
    printf("%f\\n", (used() - before) / looks * 1e6);
}
"""

Bare = Callable[[int, int], float]
"""(port, looks): microseconds of CPU time a dialogue, user and system."""


def plain(folder: Path, hosts: int) -> Bare | None:
    """The dialogue over TCP with so many addresses, 127.0.0.1 and on; None without a compiler."""
    program = _compiled(folder / "plain", _HEAD + _PLAIN)
    return _measured(program, str(hosts)) if program is not None else None


def many(folder: Path, hosts: int, at_once: int) -> Bare | None:
    """As `plain`, with so many in flight."""
    program = _compiled(folder / "many", _HEAD + _MANY)
    return _measured(program, str(hosts), str(at_once)) if program is not None else None


def tls(folder: Path, hosts: int, authority: Path) -> Bare | None:
    """The same over TLS, with what `authority` (a file of PEM) has signed for bench.test; None without a compiler or
    OpenSSL's headers."""
    program = _compiled(folder / "tls", _HEAD + _TLS, "-lssl", "-lcrypto")
    return _measured(program, str(hosts), str(authority)) if program is not None else None


def _compiled(program: Path, text: str, *libraries: str) -> Path | None:
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    source = program.with_suffix(".c")
    source.write_text(text, encoding="utf-8")
    command = [compiler, "-O2", "-w", "-o", str(program), str(source), *libraries]
    done = subprocess.run(command, check=False, capture_output=True)
    return program if done.returncode == 0 else None


def _measured(program: Path, *more: str) -> Bare:
    def bare(port: int, looks: int) -> float:
        command = [str(program), str(port), str(looks), *more]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return bare
