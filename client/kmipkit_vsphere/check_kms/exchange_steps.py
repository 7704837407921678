"""Steps: the ways in which vCenter's certificate becomes known, and its renewal (vsphere.md §4.5)."""

import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import trio
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from kmipkit_certs import keypairs
from kmipkit_certs.authority import distinguished_name

from kmipkit_vsphere.check_kms.endpoint import Endpoint
from kmipkit_vsphere.check_kms.findings import Finding, NotPlayable
from kmipkit_vsphere.check_kms.subject import PROVIDER, Subject, digest, key_id
from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.errors import ClientNotTrusted, InvalidArgument, KeyServerUnreachable
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.providers.kmip_session import KeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider, check, session

SIGNED: Final = "signed request"
"""The provider with a certificate that --sign-command has issued."""
_RETRY_INTERVAL: Final = 0.2
COMMAND_TIMEOUT: Final = 60.0

_FIELDS: Final = {
    NameOID.COMMON_NAME: "commonName",
    NameOID.ORGANIZATION_NAME: "organization",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "organizationUnit",
    NameOID.LOCALITY_NAME: "locality",
    NameOID.STATE_OR_PROVINCE_NAME: "state",
    NameOID.COUNTRY_NAME: "country",
    NameOID.EMAIL_ADDRESS: "email",
}
"""Parts of a subject to fields of a ``CertSignRequest``."""


async def sign_request(subject: Subject) -> str:
    """New CSR: vCenter generates key and request, and the key server's authority signs it."""
    endpoint = subject.endpoint
    provider = endpoint.add_provider(SIGNED)
    await _sign(endpoint, provider, {})
    await _await_trust(endpoint, provider)
    return "the server accepts the certificate that --sign-command issued"


async def self_signed(subject: Subject) -> str:
    """Certificate: vCenter generates a self-signed one, which the administrator uploads."""
    endpoint = subject.endpoint
    provider = endpoint.add_provider("self-signed")
    certificate = endpoint.trust.generate_self_signed(provider, {})
    endpoint.trust.update_client_certificate(provider)
    await _run(endpoint.settings.commands.trust, certificate)
    await _await_trust(endpoint, provider)
    return "the server accepts a self-signed certificate"


async def without_usage(subject: Subject) -> str:
    """The same with a certificate that has no extended key usage, as vCenter's own may be."""
    endpoint = subject.endpoint
    provider = endpoint.add_provider("without usage")
    certificate, key = _plain_certificate(endpoint.clock())
    endpoint.trust.upload_client_certificate(provider, certificate, key)
    await _run(endpoint.settings.commands.trust, certificate)
    await _await_trust(endpoint, provider)
    return "the server accepts a certificate without extended key usage"


def _plain_certificate(now: datetime) -> tuple[str, Secret]:
    """A self-signed certificate without extensions, and its key (both PEM)."""
    key = keypairs.generate("rsa-2048")
    name = distinguished_name("vCenter without extended key usage")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + timedelta(days=1))
        .sign(key, keypairs.signature_hash(key))
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return to_pem(certificate), Secret(key.private_bytes(serialization.Encoding.PEM, *form))


async def own_authority(subject: Subject) -> str:
    """Root CA certificate: the administrator uploads the root of vCenter's own authority."""
    endpoint = subject.endpoint
    provider = endpoint.add_provider("own authority")
    endpoint.trust.issue_from_authority(provider, {})
    await _run(endpoint.settings.commands.trust, endpoint.trust.root_certificate())
    await _await_trust(endpoint, provider)
    return "the server accepts a certificate of vCenter's authority"


async def renew(subject: Subject) -> str:
    """The client certificate is exchanged while connections are open; the keys stay the same."""
    endpoint = subject.endpoint
    key = subject.key()
    async with session(subject.server) as kmip:
        renewed = await _renewed(endpoint)
        provider = StandardKeyProvider(PROVIDER, [renewed])
        try:
            fetched = digest(await provider.fetch(key_id(key.id)))
        except ClientNotTrusted as failure:
            raise Finding(failure.message) from None
        if fetched != key.digest:
            raise Finding(f"with the renewed certificate, key {key} has other bytes")
        try:
            await kmip.discover_versions()
        except KeyServerUnreachable as failure:
            raise Finding(
                f"a connection with the old certificate ends: {failure.message}",
                "Leave open connections alone: vCenter closes them itself.",
            ) from None
    return "the renewed certificate reaches the same keys; the open connection goes on"


async def _renewed(endpoint: Endpoint) -> KeyServer:
    """The server for a second certificate of the same subject: given, or signed now."""
    if endpoint.settings.renewed is not None:
        return endpoint.server_for(endpoint.settings.renewed)
    provider = endpoint.add_provider("renewed")
    own = endpoint.credentials.own().chain[0]
    await _sign(endpoint, provider, _request_fields(own.subject))
    return endpoint.server_of(provider)


def _request_fields(name: x509.Name) -> dict[str, str]:
    return {
        _FIELDS[part.oid]: part.value
        for part in name
        if part.oid in _FIELDS and isinstance(part.value, str)
    }


async def _sign(endpoint: Endpoint, provider: str, fields: dict[str, str]) -> None:
    request = endpoint.trust.generate_request(provider, fields)
    certificate = await _run(endpoint.settings.commands.sign, request)
    try:
        endpoint.trust.update_client_certificate(provider, certificate)
    except InvalidArgument as error:
        raise NotPlayable(
            f"--sign-command printed no usable certificate: {error.message}"
        ) from None


async def _await_trust(endpoint: Endpoint, provider: str) -> None:
    """The server must accept the certificate of a provider, at once or within the time-out."""
    server = endpoint.server_of(provider)
    end = trio.current_time() + endpoint.settings.timeout
    while True:
        try:
            return await check(server)
        except ClientNotTrusted:
            if trio.current_time() >= end:
                raise
        await trio.sleep(_RETRY_INTERVAL)


async def _run(command: Sequence[str], text: str) -> str:
    """Run a command of the user with a text as its input; its output."""
    try:
        with trio.fail_after(COMMAND_TIMEOUT):
            process = await trio.run_process(
                list(command), stdin=text.encode(), capture_stdout=True, capture_stderr=True
            )
    except OSError as error:
        raise NotPlayable(f"{command[0]} cannot be started: {error.strerror}") from None
    except trio.TooSlowError:
        raise NotPlayable(f"{command[0]} did not end within {COMMAND_TIMEOUT:.0f} s") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        reason = f": {lines[-1]}" if lines else ""
        raise NotPlayable(f"{command[0]} ended with {error.returncode}{reason}") from None
    return process.stdout.decode(errors="replace")
