"""The files of certificates and revocations that a configuration means."""

from kmipkit_certs.development import RSA_SERVER, SERVER
from kmipkit_certs.directory import Directory
from kmipkit_certs.passwords import KeyPassword
from kmipkit_certs.revocation_files import RevocationFiles

from kmipkit_server.config import Config
from kmipkit_server.config.effective import ADMIN, is_development
from kmipkit_server.engine.settings import Clock
from kmipkit_server.net.tls import TLSFiles

CERTIFICATES = "certs"


def tls_files(config: Config, clock: Clock, password: KeyPassword) -> TLSFiles:
    """The files of the configuration; those of the development PKI are made if there are none."""
    if config.tls.cert is not None:
        return configured_files(config, password)
    from kmipkit_certs.development import ensure

    certificates = ensure(
        config.store.directory / CERTIFICATES,
        hosts=tuple(dict.fromkeys((config.listen.host, "localhost", "127.0.0.1", "::1"))),
        clients=(ADMIN,),
        clock=clock,
    )
    pairs = (
        (certificates.server_cert, certificates.server_key),
        (certificates.rsa_cert, certificates.rsa_key),
    )
    return TLSFiles(pairs, certificates.ca)


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
