"""Certificates and requests with what is rare or wrong, made by changing bytes."""

from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from laboratory import START

from kmipkit.model.objects import Certificate
from kmipkit.spec.enums import CertificateType

KEY = ec.generate_private_key(ec.SECP256R1())

Change = Callable[[bytes], bytes]


def replacement(old: str, new: str) -> Change:
    """A change of some bytes, given in hexadecimal, that must be there."""

    def change(der: bytes) -> bytes:
        assert bytes.fromhex(old) in der
        return der.replace(bytes.fromhex(old), bytes.fromhex(new))

    return change


SUBJECT = "array"
MALFORMED: dict[str, Change] = {
    "no DER": lambda der: b"not a certificate",
    "repeated extension": replacement("551d0f", "551d13"),
    "unsupported alternative name": replacement(
        "820c746170652e6578616d706c65", "a30c" + "0500" * 6
    ),
    "text that is bits": replacement("0c05" + SUBJECT.encode().hex(), "03050072726179"),
    "unknown curve": replacement("06082a8648ce3d030107", "06082a8648ce3d030163"),
}


def with_extensions(
    builder: x509.CertificateBuilder | x509.CertificateSigningRequestBuilder,
) -> x509.CertificateBuilder | x509.CertificateSigningRequestBuilder:
    """With the extensions that the changes of :data:`MALFORMED` need."""
    names = x509.SubjectAlternativeName([x509.DNSName("tape.example")])
    usage = x509.KeyUsage(*[True] * 9)
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    for extension in (names, usage, constraints):
        builder = builder.add_extension(extension, critical=False)
    return builder


def signed_request(change: Change) -> bytes:
    """A request with a change, signed with its own key nevertheless."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SUBJECT)])
    builder = with_extensions(x509.CertificateSigningRequestBuilder().subject_name(name))
    request = builder.sign(KEY, hashes.SHA256())
    assert isinstance(request, x509.CertificateSigningRequest)
    changed = change(request.tbs_certrequest_bytes)
    if changed[:1] != b"\x30":
        return changed
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    signature = KEY.sign(changed, ec.ECDSA(hashes.SHA256()))
    return element(0x30, changed + algorithm + element(0x03, b"\x00" + signature))


def element(tag: int, content: bytes) -> bytes:
    """A DER element of up to 65535 bytes."""
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def certificate(change: Change) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SUBJECT)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(KEY.public_key()).serial_number(7)
    builder = builder.not_valid_before(START).not_valid_after(START.replace(year=2046))
    made = with_extensions(builder).sign(KEY, hashes.SHA256())
    assert isinstance(made, x509.Certificate)
    return change(made.public_bytes(Encoding.DER))


def x_509(der: bytes) -> Certificate:
    return Certificate(certificate_type=CertificateType.X_509, certificate_value=der)
