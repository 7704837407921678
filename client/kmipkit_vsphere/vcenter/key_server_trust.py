"""Trust between vCenter and the key servers of a provider, both ways (vsphere.md §4.5).

vCenter trusts exactly the server certificates that an administrator has uploaded; before the first
upload, it trusts the authorities that it was started with. A server trusts vCenter in one of four
ways: it is given vCenter's own authority, or a self-signed certificate, or it makes certificate and
key itself, or it signs a request. Each provider has one client certificate; one that was generated
is used after a call of Update. Private keys are stored encrypted.
"""

import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from kmipkit_certs import keypairs
from kmipkit_certs.authority import Authority, Purpose, distinguished_name
from kmipkit_certs.credentials import certificates_pem
from kmipkit_certs.keypairs import PrivateKey

from kmipkit_vsphere.model.certificates import (
    load_pair,
    parse_certificate,
    parse_private_key,
    to_der,
    to_pem,
)
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, NotFound
from kmipkit_vsphere.model.keys import Secret, SecretText, escaped
from kmipkit_vsphere.model.records import ProviderDetails, ServerRecord
from kmipkit_vsphere.providers.kmip_access import KmipAccess, ServerAddress
from kmipkit_vsphere.rpc.revocation import PeerRevocations
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.store import Store

CLIENT_DAYS: Final = 730
SECRETS: Final = ("client", "pending", "selfSigned")
"""The kinds of private keys of a provider: in use, of the signing request, of the certificate."""

_SUBJECT: Final[Mapping[str, x509.ObjectIdentifier]] = {
    "commonName": NameOID.COMMON_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "state": NameOID.STATE_OR_PROVINCE_NAME,
    "country": NameOID.COUNTRY_NAME,
    "email": NameOID.EMAIL_ADDRESS,
}
"""Fields of a ``CertSignRequest`` (§4.3) to parts of the name."""


class ClientTrust(NamedTuple):
    """What a connection to the servers of a provider needs."""

    context: ssl.SSLContext
    pinned: frozenset[bytes]
    revocations: PeerRevocations | None = None
    """None if the servers are pinned: then no authority is involved."""


def trust_uploaded(context: ssl.SSLContext, certificates: Sequence[x509.Certificate]) -> None:
    """Make a context trust the uploaded certificates themselves, with any issuer and any name."""
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata="".join(map(to_pem, certificates)))


class Trust:
    """Certificates of and for the key servers of all providers of one vCenter."""

    def __init__(self, store: Store, clock: Clock, default: Credentials | None = None) -> None:
        self._store = store
        self._clock = clock
        self._default = default

    # vCenter trusts the key server ---------------------------------------------------------------

    def upload_server_certificate(self, provider: str, pem: str) -> x509.Certificate:
        """UploadKmipServerCert: trust servers that show this certificate, and no others."""
        certificate = parse_certificate(pem)
        text = to_pem(certificate)
        others = [pem for pem in self._details(provider).server_certificates if pem != text]
        self._store.providers.change(provider, server_certificates=(*others, text))
        return certificate

    def server_certificates(self, provider: str) -> list[x509.Certificate]:
        """The certificates that were uploaded for the servers of a provider."""
        return [parse_certificate(pem) for pem in self._details(provider).server_certificates]

    def has_uploaded(self, provider: str, pem: str) -> bool:
        """Whether this certificate was uploaded for the servers of a provider."""
        return parse_certificate(pem) in self.server_certificates(provider)

    # The key server trusts vCenter ---------------------------------------------------------------

    def generate_self_signed(self, provider: str, request: Mapping[str, str]) -> str:
        """GenerateSelfSignedClientCert: a certificate (PEM) that is used after the update."""
        key = keypairs.generate()
        certificate = _self_signed(key, _name(provider, request), self._clock())
        self._details(provider)
        self._store.secrets.put(_self_signed_key(provider), Secret(_key_pem(key)))
        self._store.providers.change(provider, pending_certificate=to_pem(certificate))
        return to_pem(certificate)

    def generate_request(self, provider: str, request: Mapping[str, str]) -> str:
        """GenerateClientCsr: a signing request (PEM); a second one overwrites the first."""
        key = keypairs.generate()
        builder = x509.CertificateSigningRequestBuilder().subject_name(_name(provider, request))
        made = builder.sign(key, keypairs.signature_hash(key))
        text = made.public_bytes(serialization.Encoding.PEM).decode()
        self._details(provider)
        self._store.secrets.put(_request_key(provider), Secret(_key_pem(key)))
        self._store.providers.change(provider, pending_request=text)
        return text

    def self_signed_certificate(self, provider: str) -> str:
        """The self-signed certificate that was generated last, PEM; empty if none was."""
        return self._details(provider).pending_certificate or ""

    def signing_request(self, provider: str) -> str:
        """The signing request that was generated last, PEM; empty if none was."""
        return self._details(provider).pending_request or ""

    def update_client_certificate(self, provider: str, pem: str | None = None) -> x509.Certificate:
        """Use what was generated: UpdateSelfSignedClientCert, UpdateKmsSignedCsrClientCert.

        Without ``pem`` it is the self-signed certificate. What was generated can be retrieved, and
        used again, until the next generation. Raises :class:`InvalidArgument` if the certificate is
        not for a key that was generated.
        """
        text = pem or self.self_signed_certificate(provider)
        stored = map(self._store.secrets.get, (_self_signed_key(provider), _request_key(provider)))
        keys = [parse_private_key(key.reveal()) for key in stored if key is not None]
        if not keys or not text:
            raise NotFound(f"nothing was generated for the key provider {provider}")
        certificate = parse_certificate(text)
        public = _public(certificate.public_key())
        key = next((key for key in keys if _public(key.public_key()) == public), keys[-1])
        self._use(provider, certificate, key)
        return certificate

    def upload_client_certificate(self, provider: str, pem: str, key: Secret) -> x509.Certificate:
        """UploadClientCert: a certificate and key that the key server issued."""
        certificate = parse_certificate(pem)
        self._use(provider, certificate, parse_private_key(key.reveal()))
        return certificate

    def issue_from_authority(self, provider: str, request: Mapping[str, str]) -> x509.Certificate:
        """Have vCenter's own authority issue the certificate: the key server trusts the root."""
        authority = self._authority()
        key = keypairs.generate()
        certificate = authority.certify(
            _name(provider, request), key.public_key(), Purpose.CLIENT, self._clock(), CLIENT_DAYS
        )
        self._use(provider, certificate, key)
        return certificate

    def root_certificate(self) -> str:
        """The certificate of vCenter's own authority, PEM, for the key server to trust."""
        return to_pem(self._authority().certificate)

    def client_certificate(self, provider: str) -> x509.Certificate | None:
        """RetrieveClientCert: what vCenter shows to the servers of a provider."""
        own = self._details(provider).client_certificate
        if own is not None:
            return parse_certificate(own)
        if self._default is not None:
            return self._default.own().chain[0]
        return None

    def client_pair(self, provider: str) -> tuple[str, Secret] | None:
        """The provider's own certificate (PEM) and private key, if it has one."""
        own = self._details(provider).client_certificate
        key = self._store.secrets.get(_client_key(provider))
        return (own, key) if own is not None and key is not None else None

    def _use(self, provider: str, certificate: x509.Certificate, key: PrivateKey) -> None:
        if _public(certificate.public_key()) != _public(key.public_key()):
            raise InvalidArgument(
                "the certificate does not belong to the private key", invalid_property="certificate"
            )
        self._store.secrets.put(_client_key(provider), Secret(_key_pem(key)))
        self._store.providers.change(provider, client_certificate=to_pem(certificate))

    def _details(self, provider: str) -> ProviderDetails:
        return self._store.providers.get(provider).details

    def _authority(self) -> Authority:
        """vCenter's own authority, created at its first use."""
        stored = self._store.secrets.get("authority")
        if stored is None:
            authority = Authority.create(
                "kmipkit vCenter CA", keypairs.DEFAULT_ALGORITHM, self._clock()
            )
            text = to_pem(authority.certificate).encode() + _key_pem(authority.key)
            self._store.secrets.put("authority", Secret(text))
            return authority
        text = stored.reveal()
        return Authority(x509.load_pem_x509_certificate(text), parse_private_key(text))

    # Both ----------------------------------------------------------------------------------------

    def for_provider(self, provider: str) -> ClientTrust:
        """The TLS context for connections to the servers of a provider."""
        uploaded = self.server_certificates(provider)
        own = self.client_pair(provider)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if own is not None:
            load_pair(context, own[0], own[1])
        elif self._default is not None:
            context = self._default.client_context()
        if uploaded:
            trust_uploaded(context, uploaded)
        elif own is not None and self._default is not None:
            self._default.load_trusted(context)
        pinned = frozenset(to_der(certificate) for certificate in uploaded)
        revocations = None if self._default is None or pinned else self._default.revocations()
        return ClientTrust(context, pinned, revocations)

    def access(self, provider: str) -> KmipAccess:
        """What a vSAN or Trust Authority host needs to reach the key servers of a provider.

        A server whose password is missing is among them: it cannot be used, the others can.
        Raises :class:`InvalidState` if the provider has no client certificate.
        """
        pair = self.client_pair(provider)
        if pair is None and self._default is not None:
            default = self._default.own()
            pair = default.certificate_pem().decode(), Secret(default.key_pem())
        if pair is None:
            raise InvalidState(f"the key provider {provider} has no client certificate to push")
        uploaded = self.server_certificates(provider)
        if not uploaded and self._default is None:
            raise InvalidState(f"upload the certificate of a server of {provider} first")
        certificate, key = pair
        return KmipAccess(
            servers=tuple(
                self._address(provider, server)
                for server in self._store.providers.servers(provider)
            ),
            certificate=certificate,
            private_key=SecretText(key.reveal()),
            trusted="".join(map(to_pem, uploaded))
            if uploaded or self._default is None
            else certificates_pem(self._default.trusted()).decode(),
            is_pinned=bool(uploaded),
        )

    def _address(self, provider: str, server: ServerRecord) -> ServerAddress:
        stored = self._store.secrets.get(password_name(provider, server.name))
        return ServerAddress(
            server.name,
            server.address,
            server.port,
            server.timeout,
            server.user_name,
            SecretText(stored.reveal()) if stored is not None and server.user_name else None,
        )


def password_name(provider_id: str, server: str) -> str:
    """The name of the password for a server among the secrets of the store."""
    return f"password/{escaped(provider_id)}/{server}"


def _self_signed(key: PrivateKey, name: x509.Name, now: datetime) -> x509.Certificate:
    """A self-signed client certificate, which the key server trusts individually."""
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + timedelta(days=CLIENT_DAYS))
        .add_extension(x509.ExtendedKeyUsage(Purpose.CLIENT.value), critical=False)
        .sign(key, keypairs.signature_hash(key))
    )


def _name(provider: str, request: Mapping[str, str]) -> x509.Name:
    unknown = sorted(set(request) - set(_SUBJECT))
    if unknown:
        raise InvalidArgument(
            f"{unknown[0]} is not a field of a certificate sign request", invalid_property="request"
        )
    if not request:
        return distinguished_name(f"vCenter {provider}"[:64])
    try:
        return x509.Name(
            [
                x509.NameAttribute(oid, request[field])
                for field, oid in _SUBJECT.items()
                if field in request
            ]
        )
    except ValueError as error:
        raise InvalidArgument(
            f"a certificate cannot hold this subject: {error}", invalid_property="request"
        ) from None


def _client_key(provider: str) -> str:
    return f"client/{escaped(provider)}"


def _request_key(provider: str) -> str:
    return f"pending/{escaped(provider)}"


def _self_signed_key(provider: str) -> str:
    return f"selfSigned/{escaped(provider)}"


def _public(key: Any) -> bytes:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(encoding, form))


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
