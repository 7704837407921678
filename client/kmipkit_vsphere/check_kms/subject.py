"""The key server under test, and what the steps know of each other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from kmipkit.spec.versions import Version
from kmipkit_vsphere.check_kms.endpoint import Endpoint
from kmipkit_vsphere.check_kms.findings import UNREACHABLE, Concern
from kmipkit_vsphere.check_kms.observed import Ledger, ObservedServer
from kmipkit_vsphere.model.clock import Clock, system_clock
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.providers.kmip_session import KeyServer
from kmipkit_vsphere.providers.owner import Product
from kmipkit_vsphere.providers.standard import StandardKeyProvider

PROVIDER: Final = "check-kms"
"""The id of the key provider that the check plays."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key on the key server; of its bytes only a hash is stored."""

    id: str
    digest: bytes = b""

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class Options:
    """What the user of the check decides."""

    hosts: int = 16
    replication_timeout: float = 30.0
    """Seconds until another server must have a new key."""


class Subject:
    """One key server, with its replicas. ``endpoint`` is None if it has no address (in tests)."""

    def __init__(
        self,
        server: KeyServer,
        replicas: Sequence[KeyServer] = (),
        endpoint: Endpoint | None = None,
        options: Options = Options(),
        clock: Clock = system_clock,
    ) -> None:
        self.ledger = Ledger()
        self.server = ObservedServer(server, self.ledger)
        self.replicas = [ObservedServer(replica, self.ledger) for replica in replicas]
        self.options = options
        self.clock = clock
        self.provider = StandardKeyProvider(PROVIDER, [self.server], Product())
        self.facts = Facts()
        self.leads_to_authority = False
        """Whether the certificate of the server leads to an authority of --ca."""
        self._certificate: x509.Certificate | None = None
        self._endpoint = endpoint
        self._keys: dict[str, Key] = {}

    @property
    def endpoint(self) -> Endpoint:
        """The address with the certificates for it."""
        assert self._endpoint is not None, "steps about TLS need an address"
        return self._endpoint

    @property
    def certificate(self) -> x509.Certificate:
        """What the server presents; the step that looks at it has passed."""
        assert self._certificate is not None
        return self._certificate

    @certificate.setter
    def certificate(self, certificate: x509.Certificate) -> None:
        self._certificate = certificate

    async def trust_uploads(self) -> None:
        """Trust the certificates that the server and its replicas present, as after an upload."""
        certificates = [self.certificate]
        for replica in self.replicas:
            der = await replica.retrieve_certificate()
            if der is not None:
                certificates.append(x509.load_der_x509_certificate(der))
        self.endpoint.trust_uploads(certificates)
        for server in (self.server, *self.replicas):
            server.trust_uploads(self.endpoint)

    def set_key(self, role: str, key: Key) -> Key:
        """Record the key of a machine or a host for later steps."""
        self._keys[role] = key
        return key

    def key(self, role: str = "machine") -> Key:
        """The key of a machine or a host; the step that makes it has passed."""
        return self._keys[role]

    def forget_failures(self) -> None:
        """Observe only what happens from now on."""
        for server in (self.server, *self.replicas):
            server.failures.clear()

    def require_no_failures(self) -> None:
        """Concern if a connection has broken and vCenter has tried again, which it does once."""
        failures = [text for server in (self.server, *self.replicas) for text in server.failures]
        if failures:
            raise Concern(
                f"only at another attempt; {len(failures)} failed, the first one with: {failures[0]}",
                "Answer each request: vCenter tries a server twice, and then shows it as unreachable.",
                UNREACHABLE,
            )

    async def fetch(self, key: str) -> bytes:
        """Get a key with State and Activate as vCenter does; the hash of its bytes."""
        return digest(await self.provider.fetch(key_id(key)))


def key_id(key: str) -> CryptoKeyId:
    """A key of the provider that the check plays."""
    return CryptoKeyId(PROVIDER, key)


def digest(key: CryptoKeyPlain) -> bytes:
    """A hash of the bytes of a key, which are erased."""
    try:
        return hashlib.sha256(key.key_data.reveal()).digest()
    finally:
        key.key_data.erase()


@dataclass(slots=True)
class Facts:
    """What the report says about the server besides the verdicts."""

    tls: str = ""
    certificate: str = ""
    vendor: str = ""
    versions: Sequence[Version] = ()

    def members(self) -> dict[str, str]:
        """Those that are known."""
        facts = {
            "tls": self.tls,
            "certificate": self.certificate,
            "versions": ", ".join(map(str, self.versions)),
            "vendor": self.vendor,
        }
        return {name: value for name, value in facts.items() if value}
