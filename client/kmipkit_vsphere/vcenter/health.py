"""How the key servers of a provider are, in the colours of vSphere's client (vsphere.md §4.4).

A server is red that cannot be connected to, does not trust vCenter or is not trusted by it, or does
not speak KMIP 1.1; yellow, whose certificate soon ends, or that lacks what the others have. A
provider is green if all its servers are, red if all are red or there is none, else yellow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from kmipkit.spec.enums import State
from kmipkit_vsphere.model.colour import Colour
from kmipkit_vsphere.model.errors import (
    ClientNotTrusted,
    KeyProviderError,
    KeyServerUnreachable,
    ServerNotTrusted,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.providers.conversation import KeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider, check, probe, talk_to

SOON: Final = timedelta(days=60)
"""A certificate that ends within this time is worth a warning."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """``CryptoManagerKmipServerStatus``, and in ``reasons`` what a person should know."""

    name: str
    status: Colour
    connection_status: str = "connected"
    certificate: x509.Certificate | None = None
    client_trust_server: bool | None = None
    server_trust_client: bool | None = None
    reasons: tuple[str, ...] = ()

    def to_json(self, now: datetime) -> dict[str, Any]:
        """Field names of the vSphere API (§4.3)."""
        return {
            "name": self.name,
            "status": self.status.value,
            "connectionStatus": self.connection_status,
            "certInfo": certificate_info(self.certificate, now) if self.certificate else None,
            "clientTrustServer": self.client_trust_server,
            "serverTrustClient": self.server_trust_client,
            "reasons": list(self.reasons),
        }

    def warned(self, reason: str) -> "ServerStatus":
        """The status with one more reason, yellow at best."""
        status = Colour.RED if self.status is Colour.RED else Colour.YELLOW
        return replace(self, status=status, reasons=(*self.reasons, reason))


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """``CryptoManagerKmipClusterStatus``."""

    provider: str
    status: Colour
    management_type: str
    servers: tuple[ServerStatus, ...] = ()
    client_certificate: x509.Certificate | None = None
    reasons: tuple[str, ...] = field(default=())

    def to_json(self, now: datetime) -> dict[str, Any]:
        """Field names of the vSphere API (§4.3)."""
        client = self.client_certificate
        return {
            "clusterId": self.provider,
            "overallStatus": self.status.value,
            "managementType": self.management_type,
            "servers": [server.to_json(now) for server in self.servers],
            "clientCertInfo": certificate_info(client, now) if client else None,
            "reasons": list(self.reasons),
        }


def overall(servers: Sequence[ServerStatus]) -> Colour:
    """The colour of a provider from those of its servers."""
    colours = {server.status for server in servers}
    if not colours or colours == {Colour.RED}:
        return Colour.RED
    return Colour.GREEN if colours == {Colour.GREEN} else Colour.YELLOW


async def look_at(server: KeyServer, now: datetime, *, closely: bool = False) -> ServerStatus:
    """Probe a server, then ask for its versions; ``closely`` as when a person looks at the page.

    These are the connections of a real vCenter (vsphere.md §3.4).
    """
    green = ServerStatus(
        server.name, Colour.GREEN, client_trust_server=True, server_trust_client=True
    )
    try:
        der = await probe(server)
        await check(server)
        if closely:
            await probe(server)
    except KeyProviderError as failure:
        return _red(server.name, failure)
    certificate = x509.load_der_x509_certificate(der) if der else None
    found = replace(green, certificate=certificate)
    ending = ends_soon(certificate, now)
    return found.warned(f"the certificate of {server.name} {ending}") if ending else found


def _red(name: str, failure: KeyProviderError) -> ServerStatus:
    trusts = not isinstance(failure, ServerNotTrusted)
    is_trusted = not isinstance(failure, ClientNotTrusted)
    connected = not isinstance(failure, KeyServerUnreachable)
    no_trust = isinstance(failure, ServerNotTrusted | ClientNotTrusted)
    state = "connected" if connected else "notTrusted" if no_trust else "notConnected"
    known = connected or no_trust
    return ServerStatus(
        name,
        Colour.RED,
        state,
        client_trust_server=trusts if known else None,
        # Who does not trust the server has not learned yet what the server thinks.
        server_trust_client=is_trusted if known and trusts else None,
        reasons=(failure.message,),
    )


async def compare(
    provider: StandardKeyProvider,
    found: Iterable[ServerStatus],
    vendor: str | None,
    recent: CryptoKeyId | None,
) -> list[ServerStatus]:
    """Whether all servers are of one vendor (R13) and have the same keys (R14).

    Looks only at servers that are not red, and does nothing for a single one.
    """
    statuses = list(found)
    if len(statuses) < 2:
        return statuses
    states = await provider.states(recent) if recent else {}
    servers = {server.name: server for server in provider.servers}
    result = []
    for status in statuses:
        if status.status is Colour.RED:
            result.append(status)
        else:
            compared = await _of_vendor(servers[status.name], status, vendor)
            result.append(_with_key(compared, states.get(status.name), recent))
    return result


async def _of_vendor(server: KeyServer, status: ServerStatus, vendor: str | None) -> ServerStatus:
    try:
        async with talk_to(server) as talk:
            found = await talk.vendor()
    except KeyProviderError as failure:
        return status.warned(failure.message)
    if vendor is None or found == vendor:
        return status
    return status.warned(f"{server.name} is of the vendor {found!r}, the provider of {vendor!r}")


def _with_key(
    status: ServerStatus, state: State | str | None, recent: CryptoKeyId | None
) -> ServerStatus:
    if isinstance(state, str):
        return status.warned(f"{status.name} does not have key {recent}: {state}")
    return status


def ends_soon(certificate: x509.Certificate | None, now: datetime) -> str:
    """When a certificate ends, in words, if that is soon or past; empty if not."""
    if certificate is None or certificate.not_valid_after_utc - now > SOON:
        return ""
    verb = "ended" if certificate.not_valid_after_utc <= now else "ends"
    return f"{verb} on {certificate.not_valid_after_utc:%Y-%m-%d}"


def certificate_info(certificate: x509.Certificate, now: datetime) -> dict[str, Any]:
    """A ``CertificateInfo`` (§4.3); its fingerprint is SHA-1, as the API has it."""
    since = int((now - certificate.not_valid_before_utc).total_seconds())
    before = int((certificate.not_valid_after_utc - now).total_seconds())
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serialNumber": f"{certificate.serial_number:x}",
        "notBefore": certificate.not_valid_before_utc.isoformat(),
        "notAfter": certificate.not_valid_after_utc.isoformat(),
        "fingerprint": certificate.fingerprint(hashes.SHA1()).hex(":").upper(),  # noqa: S303
        "checkTime": now.astimezone(UTC).isoformat(timespec="seconds"),
        "secondsSinceValid": since if since >= 0 else None,
        "secondsBeforeExpire": max(before, 0),
    }
