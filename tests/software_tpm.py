"""A TPM in Python, for unit tests only: the same interface, with whatever lie a test needs."""

import hashlib
import secrets
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from kmipkit_vsphere.model.certificates import to_der, to_pem
from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.trust_authority.anchors import Anchors
from kmipkit_vsphere.trust_authority.attestation import AttestationService
from kmipkit_vsphere.trust_authority.calls import Attest, AttestationResult, Challenge
from kmipkit_vsphere.trust_authority.credential import OAEP, open_credential
from kmipkit_vsphere.trust_authority.measurements import Event, Image
from kmipkit_vsphere.trust_authority.structures import (
    ALG_AES,
    ALG_CFB,
    ALG_NULL,
    ALG_RSA,
    ALG_RSASSA,
    ALG_SHA256,
    ATTEST_QUOTE,
    DECRYPT,
    FIXED_PARENT,
    FIXED_TPM,
    MAGIC,
    RESTRICTED,
    SIGN,
    PublicArea,
    sized,
)
from kmipkit_vsphere.trust_authority.tpm import PCR_SIZE, PCRS, Endorsement, Quote
from kmipkit_vsphere.trust_authority.trust_authority_host import GROUP_KEY_CURVE

# RSA keys are slow to make: the tests share a few.
_KEYS: dict[str, rsa.RSAPrivateKey] = {}


def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The key of this name."""
    if name not in _KEYS:
        _KEYS[name] = rsa.generate_private_key(65537, 2048)
    return _KEYS[name]


def public_area(key: rsa.RSAPrivateKey, attributes: int, scheme: bytes, symmetric: bytes) -> bytes:
    modulus = key.public_key().public_numbers().n.to_bytes(256, "big")
    head = struct.pack(">HHI", ALG_RSA, ALG_SHA256, attributes) + sized(b"")
    return head + symmetric + scheme + struct.pack(">HI", 2048, 0) + sized(modulus)


class Maker:
    """A TPM maker's certificate authority."""

    def __init__(self, name: str, now: datetime) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._now = now
        self.certificate = self._build(self._name, self.key.public_key(), 3650, ca=True)

    def _build(self, subject: x509.Name, key: Any, days: int, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - timedelta(days=1))
            .not_valid_after(self._now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:  # critical and unknown to OpenSSL, as those of real TPMs
            name = x509.DirectoryName(
                x509.Name([x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.1"), "id:0")])
            )
            builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def certify(self, key: rsa.RSAPrivateKey, days: int = 365) -> bytes:

        return to_der(self._build(x509.Name([]), key.public_key(), days, ca=False))


class SoftwareTPM:
    """See :class:`kmipkit_vsphere.trust_authority.tpm.TPM`; attributes are what a cheat changes."""

    def __init__(self, name: str = "ek", certificate: bytes | None = None) -> None:
        self.ek = rsa_key(name)
        self.ak = rsa_key(f"{name} ak")
        self.certificate = certificate
        self.ak_attributes = FIXED_TPM | FIXED_PARENT | RESTRICTED | SIGN
        self.signing_key: rsa.RSAPrivateKey | None = None
        self.nonce: bytes | None = None
        self.quoted = PCRS
        self.registers = dict.fromkeys(PCRS, bytes(PCR_SIZE))
        self._sealed: dict[bytes, tuple[bytes, bytes]] = {}

    def reboot(self) -> None:
        self.registers = dict.fromkeys(PCRS, bytes(PCR_SIZE))

    def endorsement(self) -> Endorsement:
        symmetric = struct.pack(">HHH", ALG_AES, 128, ALG_CFB)
        attributes = FIXED_TPM | FIXED_PARENT | RESTRICTED | DECRYPT
        scheme = struct.pack(">H", ALG_NULL)
        return Endorsement(public_area(self.ek, attributes, scheme, symmetric), self.certificate)

    def make_attestation_key(self) -> bytes:
        scheme = struct.pack(">HH", ALG_RSASSA, ALG_SHA256)
        return public_area(self.ak, self.ak_attributes, scheme, struct.pack(">H", ALG_NULL))

    def activate_credential(self, blob: bytes, secret: bytes) -> bytes:
        seed = self.ek.decrypt(secret, OAEP)
        return open_credential(blob, seed, PublicArea.parse(self.make_attestation_key()).name)

    def _digest(self) -> bytes:
        return hashlib.sha256(b"".join(self.registers[pcr] for pcr in self.quoted)).digest()

    def quote(self, nonce: bytes) -> Quote:
        bits = sum(1 << pcr for pcr in self.quoted).to_bytes(3, "little")
        attest = (
            struct.pack(">IH", MAGIC, ATTEST_QUOTE)
            + sized(b"name")
            + sized(self.nonce or nonce)
            + bytes(8 + 4 + 4 + 1 + 8)
            + struct.pack(">IHB", 1, ALG_SHA256, len(bits))
            + bits
            + sized(self._digest())
        )
        key = self.signing_key or self.ak
        signed = key.sign(attest, padding.PKCS1v15(), hashes.SHA256())
        return Quote(attest, struct.pack(">HH", ALG_RSASSA, ALG_SHA256) + sized(signed))

    def extend(self, pcr: int, digest: bytes) -> None:
        self.registers[pcr] = hashlib.sha256(self.registers[pcr] + digest).digest()

    def seal(self, data: bytes, state: bytes | None = None) -> bytes:
        name = secrets.token_bytes(16)
        self._sealed[name] = (state or self._digest(), data)
        return name

    def unseal(self, blob: bytes) -> bytes:
        state, data = self._sealed.get(blob, (b"", b""))
        if state != self._digest():
            raise InvalidState("the TPM refuses to unseal: the host was booted in another state")
        return data

    def close(self) -> None:
        """Nothing to let go of."""


def service(
    anchors: Anchors, images: list[Image], clock: Callable[[], datetime]
) -> AttestationService:
    """An Attestation Service with a key of its own."""
    key = ec.generate_private_key(GROUP_KEY_CURVE)
    return AttestationService("as1", "group", key, anchors, images, clock)


def attest(verifier: AttestationService, tpm: Any, events: Sequence[Event]) -> AttestationResult:
    """Both rounds of an attestation, without an agent."""
    endorsement = tpm.endorsement()
    challenge = verifier.challenge(
        Challenge(
            "host",
            endorsement.public,
            tpm.make_attestation_key(),
            bytes(32),
            endorsement.certificate,
        )
    )
    secret = tpm.activate_credential(challenge.credential_blob, challenge.encrypted_secret)
    quote = tpm.quote(challenge.nonce)
    return verifier.attest(
        Attest(challenge.context, secret, quote.attest, quote.signature, tuple(events))
    )


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


IMAGE = Image("ESXi", "8.0.3", (("esx-base", "00" * 32), ("vmx", "01" * 32)), ("vmkBootVerbose",))
OTHER = Image("ESXi", "8.0.2", (("esx-base", "07" * 32),))


def good(maker: Maker) -> SoftwareTPM:
    """A TPM with a certificate of its maker."""
    tpm = SoftwareTPM()
    tpm.certificate = maker.certify(tpm.ek)
    return tpm


def anchors(maker: Maker, **more: Any) -> Anchors:
    """The maker as the only one that is trusted."""
    return Anchors((to_pem(maker.certificate),), **more)
