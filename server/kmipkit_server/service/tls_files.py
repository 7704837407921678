"""The files of certificates and revocations that a configuration means."""

import logging
from pathlib import Path

from kmipkit_certs import machine
from kmipkit_certs.development import RSA_SERVER, SERVER
from kmipkit_certs.directory import CA, Directory
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import KeyPassword
from kmipkit_certs.revocation_files import RevocationFiles

from kmipkit_server.config import Config
from kmipkit_server.config.effective import ADMIN, is_development
from kmipkit_server.engine.settings import Clock
from kmipkit_server.net.tls import TLSFiles

log = logging.getLogger("kmipkit.server")

CERTIFICATES = "certs"


_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - nothing is bound here
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def required_names(config: Config) -> tuple[str, ...]:
    """The names that the configuration gives the server: its certificate must have them."""
    host = config.listen.host.partition("%")[0]  # the interface of a link-local address is no name
    return (*(() if host in _ANY_ADDRESS else (host,)), *config.tls.san)


def server_names(config: Config) -> tuple[str, ...]:
    """The names in a new certificate: also those by which this machine may be reached."""
    return tuple(dict.fromkeys((*required_names(config), *_LOOPBACK, *machine.names())))


def tls_files(config: Config, clock: Clock, password: KeyPassword) -> TLSFiles:
    """The files of the configuration; those of the development PKI are made if there are none."""
    if config.tls.cert is not None:
        return configured_files(config, password)
    from kmipkit_certs.development import ensure

    certificates = ensure(
        config.store.directory / CERTIFICATES,
        hosts=server_names(config),
        clients=(ADMIN,),
        clock=clock,
    )
    renewed_files(config, clock)
    pairs = (
        (certificates.server_cert, certificates.server_key),
        (certificates.rsa_cert, certificates.rsa_key),
    )
    return TLSFiles(pairs, certificates.ca)


def renewed_files(config: Config, clock: Clock) -> list[Path]:
    """The files of the development PKI that were renewed now, since they would have ended soon.

    What goes wrong is a warning only: the certificates are still valid for a time.
    """
    from kmipkit_certs.development import renew

    try:
        renewed = renew(
            config.store.directory / CERTIFICATES,
            required=required_names(config),
            hosts=server_names(config),
            clock=clock,
        )
    except (CertificateError, OSError) as error:
        log.warning("the certificates of the development PKI could not be renewed: %s", error)
        return []
    for path, old_end in renewed:
        log.info("%s: renewed, with the same key", path)
        if path.stem == CA:
            log.warning(
                "%s: copy the new certificate to all clients before %s UTC, when the old one ends",
                path,
                f"{old_end:%Y-%m-%d %H:%M}",
            )
    return [each.path for each in renewed]


def configured_files(config: Config, password: KeyPassword) -> TLSFiles:
    """The files that the configuration names."""
    tls = config.tls
    assert tls.cert is not None
    assert tls.ca is not None
    return TLSFiles(((tls.cert, tls.key),), tls.ca, password)


def existing_files(config: Config, password: KeyPassword) -> TLSFiles | None:
    """The files that a start would use; None if it would first make those of the development PKI."""
    if config.tls.cert is not None:
        return configured_files(config, password)
    directory = Directory(config.store.directory / CERTIFICATES)
    pairs = tuple(
        (files.cert, files.key)
        for files in map(directory.files, (SERVER, RSA_SERVER))
        if files.cert.exists()
    )
    return TLSFiles(pairs, directory.ca) if pairs and directory.ca.exists() else None


def revocation_files(config: Config) -> RevocationFiles:
    """The files with revocations."""
    tls = config.tls
    own = config.store.directory / CERTIFICATES / "ca.crl" if is_development(config) else None
    return RevocationFiles(
        crls=tls.crl,
        revoked=tls.revoked,
        optional_crl=own,
        refuses_expired=tls.expired_crl == "refuse",
    )
