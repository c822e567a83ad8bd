"""Real servers that begin TLS when they are asked to, from Debian: Exim and OpenLDAP (by GnuTLS), Dovecot and vsftpd
(by OpenSSL)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import daemon, find, free_port, listens
from tests.servers.authority import Authority

_DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap pop3
ssl = yes
ssl_cert = <{folder}/own.pem
ssl_key = <{folder}/own.key
passdb {{
  driver = static
  args = nopassword=y
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {other}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""
_VSFTPD = """
listen=YES
background=NO
listen_address=127.0.0.1
listen_port={port}
anonymous_enable=YES
ssl_enable=YES
allow_anon_ssl=YES
rsa_cert_file={folder}/own.pem
rsa_private_key_file={folder}/own.key
secure_chroot_dir={folder}/empty
seccomp_sandbox=NO
"""
_SLAPD = """
pidfile {folder}/pid
TLSCertificateFile {folder}/own.pem
TLSCertificateKeyFile {folder}/own.key
"""
_EXIM = """
spool_directory = {folder}/spool
log_file_path = {folder}/log-%s
pid_file_path = {folder}/pid
primary_hostname = mx.example.com
tls_advertise_hosts = *
tls_certificate = {folder}/own.pem
tls_privatekey = {folder}/own.key
exim_user = Debian-exim
keep_environment =
acl_smtp_rcpt = accept
queue_only = true
begin acl
accept:
  accept
"""


@dataclass(frozen=True)
class _Kind:
    package: str
    config: str
    command: tuple[str, ...]
    certificate: str = "chained"


_DOVECOT_KIND = _Kind("dovecot-imapd dovecot-pop3d", _DOVECOT, ("dovecot", "-F", "-c", "{config}"))
_KINDS = {
    "imap": _DOVECOT_KIND,
    "pop3": _DOVECOT_KIND,
    "ftp": _Kind("vsftpd", _VSFTPD, ("vsftpd", "{config}"), "rsa"),
    "ldap": _Kind("slapd", _SLAPD, ("slapd", "-f", "{config}", "-h", "ldap://127.0.0.1:{port}", "-d", "0")),
    "smtp": _Kind(
        "exim4-daemon-light",
        _EXIM,
        ("exim4", "-bdf", "-C", "{config}", "-oX", "127.0.0.1.{port}"),
    ),
}
PROTOCOLS = tuple(_KINDS)


@contextmanager
def peer(protocol: str, authority: Authority, folder: Path) -> Iterator[int]:
    """The port of a server of one of `PROTOCOLS`, whose certificate is ``chained``, or with FTP ``rsa``.

    `folder` must be one that other users can get to; they may then write into it, too. Raises `Absent`.
    """
    folder.chmod(0o777)
    (folder / "empty").mkdir(0o755)
    kind = _KINDS[protocol]
    ports = {"port": free_port(), "other": free_port()}
    for end in ("pem", "key"):
        shutil.copy(authority.folder / f"{kind.certificate}.{end}", folder / f"own.{end}")
        (folder / f"own.{end}").chmod(0o644)  # some read it when they are root no longer
    config = folder / "config"
    config.write_text(kind.config.format(folder=folder, **ports).lstrip(), encoding="utf-8")
    config.chmod(0o644)
    program, *arguments = (word.format(config=config, **ports) for word in kind.command)
    port = ports["other" if protocol == "pop3" else "port"]
    with daemon([find(program, kind.package), *arguments], folder, lambda: listens(port)):
        yield port
