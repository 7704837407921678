"""Steps: connections, certificates and trust, before vCenter asks for a key (vsphere.md §3.1, §4.5)."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from kmipkit_vsphere.check_kms.endpoint import Endpoint, reason
from kmipkit_vsphere.check_kms.findings import (
    CLIENT_CERTIFICATE_EXPIRES,
    SERVER_CERTIFICATE_EXPIRES,
    Concern,
    Finding,
    Symptom,
)
from kmipkit_vsphere.check_kms.subject import Subject
from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.errors import ClientNotTrusted, KeyServerUnreachable, ServerNotTrusted
from kmipkit_vsphere.providers.key_server import CONNECT_TIMEOUT
from kmipkit_vsphere.providers.kmip_session import KeyServer, KeyServerRefused
from kmipkit_vsphere.providers.standard import check, probe
from kmipkit_vsphere.vcenter.health import expiry_colour, expiry_warning

BURST: Final = 9
"""Failed handshakes of a real vCenter within one second, before its certificate is trusted (§3.1)."""
PINNED: Final = "pinned"
"""The provider for which the certificate of the server has been uploaded."""


async def connect(subject: Subject) -> str:
    """A TCP connection."""
    address = subject.endpoint.address
    try:
        stream = await subject.endpoint.tcp()
    except trio.TooSlowError:
        raise Finding(
            f"{address}: no connection within {CONNECT_TIMEOUT:.0f} s",
            "Check the address and the firewalls between vCenter and the key server.",
        ) from None
    except OSError as error:
        raise Finding(
            f"{address}: {reason(error)}",
            "Check the address and the port, and that the key server listens on this interface.",
        ) from None
    async with stream:
        return str(address)


async def look(subject: Subject) -> str:
    """RetrieveKmipServerCert: the certificate that the server presents, trusted or not."""
    try:
        stream = await subject.endpoint.look()
    except trio.TooSlowError:
        raise await _no_tls(
            subject, f"it takes more than {subject.endpoint.settings.timeout:.0f} s"
        ) from None
    except (OSError, trio.BrokenResourceError) as error:
        raise await _no_tls(subject, reason(error)) from None
    async with stream:
        der = stream.getpeercert(binary_form=True)
        name, version, _ = stream.cipher() or ("", "", 0)
        subject.facts.tls = f"{stream.version() or version}, {name}"
    if der is None:
        raise Finding("the server presents no certificate")
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    except (ValueError, TypeError) as error:
        raise Finding(f"the certificate of the server is malformed: {error}") from None
    subject.facts.certificate = (
        f"{names[0]}, issued by {names[1]}, valid until {certificate.not_valid_after_utc:%Y-%m-%d},"
        f" SHA-256 {certificate.fingerprint(hashes.SHA256()).hex(':').upper()}"
    )
    subject.certificate = certificate
    expiry = expiry_warning(certificate, subject.clock())
    if expiry.startswith("expires"):
        raise Concern(
            f"the certificate {expiry}",
            "Renew the certificate; vCenter warns 60 days before it expires.",
            _expiring(SERVER_CERTIFICATE_EXPIRES, certificate, subject),
        )
    return (
        f"{subject.facts.tls}; {names[0]}, valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
    )


def _expiring(symptom: Symptom, certificate: x509.Certificate, subject: Subject) -> Symptom:
    """The symptom in the colour that the rest of the certificate's time has."""
    return replace(symptom, colour=expiry_colour(certificate, subject.clock()) or symptom.colour)


async def _no_tls(subject: Subject, why: str) -> Finding:
    """Why there was no handshake: often the port belongs to something else."""
    protocol = await subject.endpoint.other_protocol(tls=False)
    if protocol == "KMIP":
        return Finding(
            "the port speaks KMIP without TLS", "Use TLS; vCenter has no connections without it."
        )
    if protocol:
        return Finding(
            f"the port speaks {protocol} without TLS, not KMIP",
            "Use the port of KMIP, which is usually 5696.",
        )
    return Finding(
        f"the TLS handshake fails: {why}",
        "Offer TLS 1.2 with ECDHE and AES-GCM; the port must expect TLS at once. A server that refuses"
        " the client's certificate says so in its own log.",
    )


async def trust_server(subject: Subject) -> str:
    """A handshake that verifies the certificate against --ca and the address."""
    try:
        await probe(subject.server)
    except ServerNotTrusted as failure:
        objections = subject.endpoint.objections([subject.certificate])
        raise Finding("; ".join(objections) or failure.message) from None
    except ClientNotTrusted:
        pass  # then the server's certificate was accepted; the next steps are about the client's
    subject.leads_to_authority = True
    return "the certificate leads to an authority of --ca, and has the name of the server"


async def pin(subject: Subject) -> str:
    """UploadKmipServerCert: from then on the server must present this very certificate."""
    endpoint = subject.endpoint
    provider = endpoint.add_provider(PINNED)
    endpoint.trust.upload_server_certificate(provider, to_pem(subject.certificate))
    try:
        for _ in range(3):
            await probe(endpoint.server_of(provider))
    except ServerNotTrusted as failure:
        raise Finding(
            failure.message,
            "All servers behind the address must present one certificate; vCenter trusts the one that"
            " the administrator has seen.",
        ) from None
    except ClientNotTrusted:
        pass
    if not subject.leads_to_authority:
        await subject.trust_uploads()
    return "the same certificate on each connection"


async def trust_client(subject: Subject) -> str:
    """The first message with vCenter's certificate: in TLS 1.3 a refusal comes only then."""
    own = subject.endpoint.credentials.own().chain[0]
    expiry = expiry_warning(own, subject.clock())
    try:
        await check(subject.server)
    except ClientNotTrusted as failure:
        hint = f"; it {expiry}" if expiry.startswith("expired") else ""
        raise Finding(f"{failure.message}{hint}") from None
    except KeyServerRefused:
        pass  # the server has answered; what it says is the subject of a later step
    except KeyServerUnreachable as failure:
        protocol = await subject.endpoint.other_protocol(tls=True)
        if protocol == "HTTP":
            raise Finding(
                "the port speaks HTTPS, not KMIP over TLS",
                "Use the port of KMIP, which is usually 5696, and not that of the web console.",
            ) from None
        raise Finding(failure.message) from None
    if expiry:
        raise Concern(
            f"vCenter's certificate {own.subject.rfc4514_string()} {expiry}",
            "Issue a new client certificate for the same account.",
            _expiring(CLIENT_CERTIFICATE_EXPIRES, own, subject),
        )
    return f"the server accepts {own.subject.rfc4514_string()}"


async def connect_with_tls_1_2(subject: Subject) -> str:
    """The TLS of vCenter 7.0, as it was recorded."""
    await check(subject.endpoint.server_with_tls_1_2())
    return "a connection with TLS 1.2"


async def probes(subject: Subject) -> str:
    """Handshakes without a message, several at a time: half of all connections of a vCenter."""
    await run_all(*[partial(probe, subject.server)] * BURST)
    await check(subject.server)
    return f"{BURST} connections without a message, then one with"


async def unknown_client(subject: Subject) -> str:
    """The connections of a vCenter whose certificate is not trusted yet; then those of a trusted one."""
    server = stranger(subject.endpoint)
    accepted = 0

    async def attempt() -> None:
        nonlocal accepted
        with suppress(KeyServerUnreachable, KeyServerRefused):
            await check(server)
            accepted += 1

    await run_all(*[attempt] * BURST)
    try:
        await check(subject.server)
    except KeyServerUnreachable as failure:
        raise Finding(
            f"after {BURST} handshakes with an unknown certificate, the server no longer serves vCenter:"
            f" {failure.message}",
            "Do not ban an address for failed handshakes: before trust is established, vCenter tries up"
            " to nine times within a second.",
        ) from None
    if accepted:
        raise Concern(
            "the server answers a client whose certificate it has never seen",
            "Require a client certificate that was made known to the server.",
        )
    return f"{BURST} handshakes with an unknown certificate refused, then vCenter's accepted"


def stranger(endpoint: Endpoint) -> KeyServer:
    """The key server for a client that it does not know, with a self-signed certificate."""
    provider = endpoint.add_provider("stranger")
    if endpoint.trust.client_pair(provider) is None:
        endpoint.trust.generate_self_signed(provider, {})
        endpoint.trust.update_client_certificate(provider)
    return endpoint.server_of(provider)
