"""New clients of a server with the development PKI."""

from datetime import UTC, datetime
from pathlib import Path

from kmipkit_certs import bundle, files
from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.identity import require_not_reserved

from kmipkit_server.config import Config
from kmipkit_server.config.effective import is_development
from kmipkit_server.service.tls_files import CERTIFICATES


def require_possible(config: Config, name: str) -> Directory:
    """The development PKI.

    Raises:
        CertificateError: there is none, or the name is reserved, not valid or in use.
    """
    if not is_development(config):
        raise CertificateError(
            "this server has certificates of its own (tls.cert): the authority in tls.ca issues those of"
            " its clients; if kmipkit has made it, use kmipkit certs issue"
        )
    directory = Directory(config.store.directory / CERTIFICATES)
    if not directory.ca.exists():
        raise CertificateError(
            f"{directory.path}: there is no development PKI yet; the first start of the server makes"
            f" it: kmipkit serve --data-dir {config.store.directory}"
        )
    require_not_reserved(name)
    paths = directory.files(name)
    for path in (paths.cert, paths.key):
        if path.exists():
            raise CertificateError(
                f"{path}: there is a client {name} already; renew its certificate with kmipkit certs"
                f" renew {directory.path} {name}, or take another name"
            )
    return directory


def enrol(
    config: Config,
    name: str,
    path: Path,
    password: bytes,
    *,
    algorithm: str,
    days: float,
    for_old_devices: bool = False,
    with_jks: bool = False,
) -> None:
    """Write a bundle for a new client; the private key is nowhere else.

    Raises:
        CertificateError: as of :func:`require_possible`, or the bundle cannot be written.
    """
    directory = require_possible(config, name)
    # A server that takes accounts from alternative names needs one.
    alternative = (name,) if config.identity.source == "san" else ()
    authority, now = directory.authority(), datetime.now(UTC)
    issued = authority.issue(
        name,
        Purpose.CLIENT,
        now,
        alternative=alternative,
        algorithm=algorithm,
        days=days,
    )
    data = bundle.contents(
        name,
        issued,
        authority.certificate,
        password,
        for_old_devices=for_old_devices,
        jks_date=now if with_jks else None,
    )
    registered = directory.files(name).cert
    files.write_certificate(registered, issued.certificate)  # from now on, the name is in use
    try:
        bundle.write(path, data)
    except BaseException:
        registered.unlink()
        raise
