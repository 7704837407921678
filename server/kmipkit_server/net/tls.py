"""The server's certificates and its TLS settings, from the files in the configuration.

:mod:`kmipkit_certs.contexts` makes the settings, so that ``kmipkit certs check`` uses the same ones.
"""

import logging
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs import contexts, credentials
from kmipkit_certs.check import authority_warnings, server_warnings
from kmipkit_certs.credentials import Credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import KeyPassword
from kmipkit_certs.revocation_files import RevocationFiles

from kmipkit_server.config import ConfigError
from kmipkit_server.engine.settings import Clock
from kmipkit_server.net.revocation import Revocations

log = logging.getLogger("kmipkit.server")

WARNING_SECONDS = 24 * 3600.0
"""Between two log lines about the same certificate."""


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """The files of the server's certificates, and of the authorities of its clients."""

    pairs: tuple[tuple[Path, Path | None], ...]
    """Certificate and key of each kind; None if the key is in the file of the certificate."""
    ca: Path
    password: KeyPassword = field(default_factory=KeyPassword)

    def load(self) -> "TLSMaterial":
        """The current contents. ConfigError names a file that is not usable."""
        try:
            own = tuple(
                credentials.load_credentials(cert, key, self.password) for cert, key in self.pairs
            )
            trusted = tuple(credentials.load_certificates(self.ca, self.password))
        except CertificateError as error:
            raise ConfigError(str(error)) from None
        return TLSMaterial(own, trusted, self.ca)


@dataclass(frozen=True, slots=True, repr=False)
class TLSMaterial:
    """The server's certificates with their keys, and the authorities of its clients."""

    own: tuple[Credentials, ...]
    trusted: tuple[x509.Certificate, ...]
    ca: Path
    """The file of the authorities, for messages."""

    def authorities(self) -> tuple[bytes, ...]:
        """The authorities' certificates in DER."""
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in self.trusted)

    def server_context(self) -> ssl.SSLContext:
        """The settings for accepted connections. ConfigError if OpenSSL refuses a certificate."""
        try:
            return contexts.server_context(self.own, self.trusted)
        except CertificateError as error:
            raise ConfigError(str(error)) from None

    def client_context(self) -> ssl.SSLContext:
        """The settings for connections to clients that listen, with the server's own certificate."""
        try:
            return contexts.client_context(self.own[0], self.trusted)
        except CertificateError as error:
            raise ConfigError(str(error)) from None

    def warnings(self, clock: Clock) -> list[str]:
        """Why clients may not accept the server, or it may refuse all of them."""
        return [
            f"{each.name}: {text}"
            for each in self.own
            for text in server_warnings(each.chain, self.trusted, clock())
        ] + [f"{self.ca}: {text}" for text in authority_warnings(self.trusted, clock())]


def differences(old: TLSMaterial, new: TLSMaterial) -> Iterator[str]:
    """In which certificates two sets of files differ."""
    before = {each.name: each.chain[0] for each in old.own}
    for each in new.own:
        certificate = each.chain[0]
        known = before.get(each.name)
        if known is None:
            yield f"certificate {each.name}: {_describe(certificate)}"
        elif known != certificate:
            yield f"certificate {each.name}: {_describe(known)} -> {_describe(certificate)}"
    for word, some, others in (("new", new, old), ("removed", old, new)):
        for authority in some.trusted:
            if authority not in others.trusted:
                name = authority.subject.rfc4514_string()
                yield f"{word} authority of clients: {name}, {_describe(authority)}"


def _describe(certificate: x509.Certificate) -> str:
    end = certificate.not_valid_after_utc
    return f"serial number {certificate.serial_number:x}, valid until {end:%Y-%m-%d %H:%M} UTC"


@dataclass(slots=True)
class TLSSettings:
    """The TLS settings in use."""

    files: TLSFiles
    material: TLSMaterial
    context: ssl.SSLContext
    revocations: Revocations
    clock: Clock
    warns: bool = True
    further: tuple[x509.Certificate, ...] = ()
    """Authorities of clients that the files do not have: that of Re-Provision."""
    _for_all: tuple[TLSMaterial, ssl.SSLContext] | None = None

    @classmethod
    def load(
        cls, files: TLSFiles, revocations: RevocationFiles, clock: Clock, *, warns: bool = True
    ) -> "TLSSettings":
        """The settings from the files. ConfigError names one that is not usable.

        ``warns`` says whether the log gets lines about them: one process does it for all that have the
        same files.
        """
        material = files.load()
        context = material.server_context()
        loaded = Revocations.load(revocations, material.authorities(), clock, warns=warns)
        settings = cls(files, material, context, loaded, clock, warns)
        settings.warn()
        return settings

    def prepare(self, files: TLSFiles, revocations: RevocationFiles) -> Callable[[], list[str]]:
        """Read all files again, or others. ConfigError if one is not usable; then nothing has changed.

        The result makes the server use them, and says in which they differ from the old ones.
        """
        material = files.load()
        context = material.server_context()
        if self.further:
            contexts.trust(context, self.further)
        accept = self.revocations.prepare(revocations, material.authorities())

        def commit() -> list[str]:
            lines = [*differences(self.material, material), *accept()]
            self.files, self.material, self.context = files, material, context
            self.warn()
            return lines

        return commit

    def trust(self, authority: bytes) -> None:
        """Accept clients of a further authority, also after a reload."""
        certificate = x509.load_der_x509_certificate(authority)
        if certificate not in self.further:
            self.further += (certificate,)
            contexts.trust(self.context, (certificate,))

    def context_for_all(self) -> ssl.SSLContext:
        """The settings for connections whose clients need no certificate."""
        if self._for_all is None or self._for_all[0] is not self.material:
            context = self.material.server_context()
            context.verify_mode = ssl.CERT_NONE
            self._for_all = self.material, context
        return self._for_all[1]

    def client_context(self) -> ssl.SSLContext:
        """As of :meth:`TLSMaterial.client_context`, with the certificate now in use."""
        return self.material.client_context()

    async def watch(self) -> None:
        """Warn again once a day, since certificates expire while the server runs."""
        while True:
            await trio.sleep(WARNING_SECONDS)
            self.warn()

    def warn(self) -> None:
        """Log why clients may not accept the server's certificates."""
        for text in self.material.warnings(self.clock) if self.warns else ():
            log.warning("%s", text)
