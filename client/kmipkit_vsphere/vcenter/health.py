"""The health of key servers, in the colours of vSphere's client (vsphere.md §4.4).

A server is red if vCenter cannot connect to it, if one of the two does not trust the other, or if it
does not speak KMIP 1.1. It is yellow if its certificate expires soon, or if it lacks a key that the
others have. A provider is green if all its servers are, red if all are red or there is none, and
otherwise yellow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from kmipkit.spec.enums import State
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.errors import (
    ClientNotTrusted,
    KeyProviderError,
    KeyServerUnreachable,
    ServerNotTrusted,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.providers.kmip_session import KeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider, check, probe, session
from kmipkit_vsphere.vcenter.calls.providers import (
    CertificateInfo,
    KmipClusterStatus,
    KmipServerStatus,
)

SOON: Final = timedelta(days=60)
"""A certificate that expires within this time causes a warning."""
VERY_SOON: Final = timedelta(days=30)
"""Within this time its alarm is red."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """``CryptoManagerKmipServerStatus``, with the reasons for its colour."""

    name: str
    status: Color
    connection_status: str = "connected"
    certificate: x509.Certificate | None = None
    client_trust_server: bool | None = None
    server_trust_client: bool | None = None
    reasons: tuple[str, ...] = ()

    def message(self, now: datetime) -> KmipServerStatus:
        """The status as it is answered."""
        return KmipServerStatus(
            name=self.name,
            status=self.status.value,
            connection_status=self.connection_status,
            cert_info=certificate_info(self.certificate, now) if self.certificate else None,
            client_trust_server=self.client_trust_server,
            server_trust_client=self.server_trust_client,
            reasons=self.reasons,
        )

    def with_warning(self, reason: str) -> "ServerStatus":
        """The status with one more reason, yellow at best."""
        status = Color.RED if self.status is Color.RED else Color.YELLOW
        return replace(self, status=status, reasons=(*self.reasons, reason))


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """``CryptoManagerKmipClusterStatus``."""

    provider: str
    status: Color
    management_type: str
    servers: tuple[ServerStatus, ...] = ()
    client_certificate: x509.Certificate | None = None
    reasons: tuple[str, ...] = field(default=())

    def message(self, now: datetime) -> KmipClusterStatus:
        """The status as it is answered."""
        client = self.client_certificate
        return KmipClusterStatus(
            cluster_id=self.provider,
            overall_status=self.status.value,
            management_type=self.management_type,
            servers=[server.message(now) for server in self.servers],
            client_cert_info=certificate_info(client, now) if client else None,
            reasons=self.reasons,
        )


def overall(servers: Sequence[ServerStatus]) -> Color:
    """The colour of a provider from those of its servers."""
    colours = {server.status for server in servers}
    if not colours or colours == {Color.RED}:
        return Color.RED
    return Color.GREEN if colours == {Color.GREEN} else Color.YELLOW


async def check_server(
    server: KeyServer, now: datetime, *, interactive: bool = False
) -> ServerStatus:
    """Probe a server, then ask for its versions; ``interactive`` as when a user opens the page.

    These are the connections of a real vCenter (vsphere.md §3.4).
    """
    green = ServerStatus(
        server.name, Color.GREEN, client_trust_server=True, server_trust_client=True
    )
    try:
        der = await probe(server)
        await check(server)
        if interactive:
            await probe(server)
        certificate = x509.load_der_x509_certificate(der) if der else None
    except KeyProviderError as failure:
        return _red(server.name, failure)
    except ValueError as error:  # OpenSSL accepts certificates that are not quite as they must be
        return _red(
            server.name, KeyProviderError(f"the certificate of {server.name} is malformed: {error}")
        )
    status = replace(green, certificate=certificate)
    expiry = expiry_warning(certificate, now)
    return status.with_warning(f"the certificate of {server.name} {expiry}") if expiry else status


def _red(name: str, failure: KeyProviderError) -> ServerStatus:
    trusts = not isinstance(failure, ServerNotTrusted)
    is_trusted = not isinstance(failure, ClientNotTrusted)
    connected = not isinstance(failure, KeyServerUnreachable)
    no_trust = isinstance(failure, ServerNotTrusted | ClientNotTrusted)
    state = "connected" if connected else "notTrusted" if no_trust else "notConnected"
    known = connected or no_trust
    return ServerStatus(
        name,
        Color.RED,
        state,
        client_trust_server=trusts if known else None,
        # A client that does not trust the server has not learned whether the server trusts it.
        server_trust_client=is_trusted if known and trusts else None,
        reasons=(failure.message,),
    )


async def compare(
    provider: StandardKeyProvider,
    statuses: Sequence[ServerStatus],
    vendor: str | None,
    recent: CryptoKeyId | None,
) -> list[ServerStatus]:
    """Check that all servers are of one vendor (R13) and have the same keys (R14).

    Skips red servers, and does nothing if there is only one server.
    """
    if len(statuses) < 2:
        return list(statuses)
    states = await provider.states(recent) if recent else {}
    servers = {server.name: server for server in provider.servers}
    result = []
    for status in statuses:
        if status.status is Color.RED:
            result.append(status)
        else:
            compared = await _of_vendor(servers[status.name], status, vendor)
            result.append(_with_key(compared, states.get(status.name), recent))
    return result


async def _of_vendor(server: KeyServer, status: ServerStatus, vendor: str | None) -> ServerStatus:
    try:
        async with session(server) as kmip:
            actual = await kmip.vendor()
    except KeyProviderError as failure:
        return status.with_warning(failure.message)
    if vendor is None or actual == vendor:
        return status
    return status.with_warning(
        f"the vendor of {server.name} is {actual!r}, that of the provider is {vendor!r}"
    )


def _with_key(
    status: ServerStatus, state: State | str | None, recent: CryptoKeyId | None
) -> ServerStatus:
    if isinstance(state, str):
        return status.with_warning(f"{status.name} does not have key {recent}: {state}")
    return status


def expiry_warning(certificate: x509.Certificate | None, now: datetime) -> str:
    """When a certificate expires, if that is soon or past; otherwise empty."""
    if certificate is None or certificate.not_valid_after_utc - now > SOON:
        return ""
    verb = "expired" if certificate.not_valid_after_utc <= now else "expires"
    return f"{verb} on {certificate.not_valid_after_utc:%Y-%m-%d}"


def expiry_colour(certificate: x509.Certificate | None, now: datetime) -> Color | None:
    """Yellow for a certificate that expires soon, red for one that expires very soon or has."""
    if not expiry_warning(certificate, now) or certificate is None:
        return None
    return Color.RED if certificate.not_valid_after_utc - now <= VERY_SOON else Color.YELLOW


def certificate_info(certificate: x509.Certificate, now: datetime) -> CertificateInfo:
    """A ``CertificateInfo`` (§4.3); its fingerprint is SHA-1, as the API has it."""
    since = int((now - certificate.not_valid_before_utc).total_seconds())
    before = int((certificate.not_valid_after_utc - now).total_seconds())
    return CertificateInfo(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial_number=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc.isoformat(),
        not_after=certificate.not_valid_after_utc.isoformat(),
        fingerprint=certificate.fingerprint(hashes.SHA1()).hex(":").upper(),  # noqa: S303
        check_time=now.astimezone(UTC).isoformat(timespec="seconds"),
        seconds_since_valid=since if since >= 0 else None,
        seconds_before_expire=max(before, 0),
    )
