"""Trust between vCenter and the key servers of a provider, both ways (vsphere.md §4.5).

vCenter trusts a server whose certificate an administrator has uploaded, that very certificate; as
long as none was, the authorities decide that vCenter was started with. The server is made to trust
vCenter in one of four ways: it gets vCenter's own authority, or a self-signed certificate, or it
makes certificate and key itself, or it signs a request. One client certificate for each provider;
one that was generated is used from the call of Update on. Private keys lie encrypted in the store.
"""

import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from kmipkit_certs import keypairs
from kmipkit_certs.authority import Authority, Purpose, distinguished_name
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
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.store import Store

CLIENT_DAYS: Final = 730
SERVER_CERTIFICATES: Final = "serverCertificates"
CLIENT_CERTIFICATE: Final = "clientCertificate"
PENDING_CERTIFICATE: Final = "pendingCertificate"
PENDING_REQUEST: Final = "pendingRequest"

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


class Trust:
    """Certificates of and for the key servers of all providers of one vCenter."""

    def __init__(self, store: Store, clock: Clock, default: Credentials | None = None) -> None:
        self._store = store
        self._clock = clock
        self._default = default

    # vCenter trusts the key server ---------------------------------------------------------------

    def upload_server_certificate(self, provider: str, pem: str) -> x509.Certificate:
        """UploadKmipServerCert: trust a server that shows this certificate, and none but such."""
        certificate = parse_certificate(pem)
        known = self._details(provider).get(SERVER_CERTIFICATES, [])
        text = to_pem(certificate)
        self._store.providers.change(
            provider, **{SERVER_CERTIFICATES: [*(one for one in known if one != text), text]}
        )
        return certificate

    def server_certificates(self, provider: str) -> list[x509.Certificate]:
        """The certificates that were uploaded for the servers of a provider."""
        return [
            parse_certificate(one) for one in self._details(provider).get(SERVER_CERTIFICATES, [])
        ]

    # The key server trusts vCenter ---------------------------------------------------------------

    def generate_self_signed(self, provider: str, request: Mapping[str, str]) -> str:
        """GenerateSelfSignedClientCert: certificate (PEM), not used before the update."""
        key = keypairs.generate()
        certificate = _self_signed(key, _name(provider, request), self._clock())
        self._keep_pending(provider, PENDING_CERTIFICATE, to_pem(certificate), key)
        return to_pem(certificate)

    def generate_request(self, provider: str, request: Mapping[str, str]) -> str:
        """GenerateClientCsr: a signing request (PEM); a second one overwrites the first."""
        key = keypairs.generate()
        builder = x509.CertificateSigningRequestBuilder().subject_name(_name(provider, request))
        made = builder.sign(key, keypairs.signature_hash(key))
        text = made.public_bytes(serialization.Encoding.PEM).decode()
        self._keep_pending(provider, PENDING_REQUEST, text, key)
        return text

    def pending(self, provider: str, kind: str) -> str:
        """What was generated last and is not in use yet, PEM; :class:`NotFound` if nothing is."""
        found = self._details(provider).get(kind)
        if found is None:
            raise NotFound(f"nothing was generated for the key provider {provider}")
        return str(found)

    def update_client_certificate(self, provider: str, pem: str | None = None) -> x509.Certificate:
        """Use what was generated: UpdateSelfSignedClientCert, UpdateKmsSignedCsrClientCert.

        Without ``pem`` it is the self-signed certificate. Raises :class:`InvalidArgument` where the
        certificate is not for the key that was generated.
        """
        certificate = parse_certificate(pem or self.pending(provider, PENDING_CERTIFICATE))
        key = self._store.secrets.get(_pending_key(provider))
        if key is None:
            raise NotFound(f"nothing was generated for the key provider {provider}")
        self._use(provider, certificate, parse_private_key(key.reveal()))
        self._store.providers.change(provider, **{PENDING_CERTIFICATE: None, PENDING_REQUEST: None})
        self._store.secrets.remove(_pending_key(provider))
        return certificate

    def upload_client_certificate(self, provider: str, pem: str, key: str) -> x509.Certificate:
        """UploadClientCert: a pair that the key server's maker gave out."""
        certificate = parse_certificate(pem)
        self._use(provider, certificate, parse_private_key(key.encode()))
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
        found = self._details(provider).get(CLIENT_CERTIFICATE)
        if found is not None:
            return parse_certificate(found)
        if self._default is not None:
            return parse_certificate(self._default.certificate.read_text())
        return None

    def client_pair(self, provider: str) -> tuple[str, Secret] | None:
        """The provider's own certificate (PEM) and private key, for hosts that fetch keys (vSAN)."""
        found = self._details(provider).get(CLIENT_CERTIFICATE)
        key = self._store.secrets.get(_client_key(provider))
        return (found, key) if found is not None and key is not None else None

    def _use(self, provider: str, certificate: x509.Certificate, key: PrivateKey) -> None:
        if _public(certificate.public_key()) != _public(key.public_key()):
            raise InvalidArgument("the certificate does not belong to the private key")
        self._store.secrets.put(_client_key(provider), Secret(_key_pem(key)))
        self._store.providers.change(provider, **{CLIENT_CERTIFICATE: to_pem(certificate)})

    def _keep_pending(self, provider: str, kind: str, text: str, key: PrivateKey) -> None:
        self._details(provider)
        self._store.secrets.put(_pending_key(provider), Secret(_key_pem(key)))
        nothing: dict[str, str | None] = {PENDING_CERTIFICATE: None, PENDING_REQUEST: None}
        self._store.providers.change(provider, **{**nothing, kind: text})

    def _details(self, provider: str) -> Mapping[str, Any]:
        return self._store.providers.get(provider).details

    def _authority(self) -> Authority:
        """vCenter's own authority, made when it is needed first."""
        kept = self._store.secrets.get("authority")
        if kept is None:
            made = Authority.create("kmipkit vCenter CA", keypairs.DEFAULT_ALGORITHM, self._clock())
            text = to_pem(made.certificate).encode() + _key_pem(made.key)
            self._store.secrets.put("authority", Secret(text))
            return made
        text = kept.reveal()
        return Authority(x509.load_pem_x509_certificate(text), parse_private_key(text))

    # Both ----------------------------------------------------------------------------------------

    def for_provider(self, provider: str) -> ClientTrust:
        """The TLS context with which the servers of a provider are connected to."""
        uploaded = self.server_certificates(provider)
        own = self.client_pair(provider)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if own is not None:
            load_pair(context, own[0], own[1])
        elif self._default is not None:
            context = self._default.client_context()
        if uploaded:
            # The certificate itself is what is trusted, whoever signed it and whatever its name.
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cadata="".join(map(to_pem, uploaded)))
        elif own is not None and self._default is not None:
            context.load_verify_locations(self._default.authorities)
        return ClientTrust(context, frozenset(to_der(one) for one in uploaded))

    def to_push(self, provider: str) -> tuple[str, Secret, str, bool]:
        """For hosts that fetch keys themselves: certificate, private key, whom to trust, pinned.

        Raises :class:`InvalidState` where the provider has no client certificate.
        """
        pair = self.client_pair(provider)
        if pair is None and self._default is not None:
            default = self._default
            pair = default.certificate.read_text(), Secret(default.key.read_bytes())
        if pair is None:
            raise InvalidState(f"the key provider {provider} has no client certificate to push")
        uploaded = self.server_certificates(provider)
        if uploaded:
            return *pair, "".join(map(to_pem, uploaded)), True
        if self._default is None:
            raise InvalidState(f"upload the certificate of a server of {provider} first")
        return *pair, self._default.authorities.read_text(), False


def _self_signed(key: PrivateKey, name: x509.Name, now: datetime) -> x509.Certificate:
    """A client certificate whose key signs for itself: the key server trusts it and no other."""
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
        raise InvalidArgument(f"{unknown[0]} is not a field of a certificate sign request")
    if not request:
        return distinguished_name(f"vCenter {provider}"[:64])
    try:
        return x509.Name(
            [
                x509.NameAttribute(oid, request[one])
                for one, oid in _SUBJECT.items()
                if one in request
            ]
        )
    except ValueError as error:
        raise InvalidArgument(f"this cannot be in a certificate: {error}") from None


def _client_key(provider: str) -> str:
    return f"client/{provider}"


def _pending_key(provider: str) -> str:
    return f"pending/{provider}"


def _public(key: Any) -> bytes:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(encoding, form))


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
