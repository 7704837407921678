"""A client replaces its own certificate over TLS (KMIP 2.1 §6.1.48)."""

from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID
from kmipkit_certs.authority import Purpose
from kmipkit_client import OperationFailed, calls, messages
from servers import RunningServer, read_message

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.objects import Certificate, CertificateRequest
from kmipkit.model.payloads.certify import ReProvisionRequest
from kmipkit.spec.enums import (
    CertificateRequestType,
    CertificateType,
    CryptographicAlgorithm,
    Operation,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V2_1

CREATE = calls.create(CryptographicAlgorithm.AES, 128, CryptographicUsageMask.ENCRYPT, None, None)


def exchange(server: RunningServer, name: str, *requests: Any) -> list[Any]:
    """The results of a batch on a new connection with the certificate of this name."""
    with server.raw(name) as stream:
        stream.sendall(encode(messages.request(V2_1, requests), V2_1))
        response, _ = decode_response(read_message(stream))
    return messages.results(requests, response)


def request(key: ec.EllipticCurvePrivateKey, name: str) -> CertificateRequest:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    )
    return CertificateRequest(
        certificate_request_type=CertificateRequestType.PKCS_10,
        certificate_request_value=signed.public_bytes(Encoding.DER),
    )


def provision(**fields: Any) -> Any:
    return calls.raw(Operation.RE_PROVISION, ReProvisionRequest(**fields))


def install(server: RunningServer, name: str, certificate: bytes, key: bytes) -> None:
    """Files of a client with this name, from DER and PEM."""
    files = server.pki.files(name)
    loaded = x509.load_der_x509_certificate(certificate)
    files.cert.write_bytes(loaded.public_bytes(Encoding.PEM))
    files.key.write_bytes(key)


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def require_ended(server: RunningServer, name: str) -> None:
    [result] = exchange(server, name, CREATE)
    assert isinstance(result, OperationFailed)
    assert result.reason is not None
    assert result.reason.name == "AUTHENTICATION_NOT_SUCCESSFUL"


def test_a_certificate_request(own_server: RunningServer) -> None:
    server = own_server.start()
    [mine] = exchange(server, "tape", CREATE)
    key = ec.generate_private_key(ec.SECP256R1())
    # Whatever the request says: the certificate leads to the account of the client.
    [new] = exchange(server, "tape", provision(certificate_request=request(key, "admin")))
    require_ended(server, "tape")
    [value] = exchange(server, "admin", calls.get(new.unique_identifier, None, None, None))
    assert isinstance(value, OperationFailed)  # it belongs to the client, not to the administrator
    # The client got the certificate in the same batch, or has another way; here, from a backup.
    other = ec.generate_private_key(ec.SECP256R1())
    results = exchange(
        server,
        "disk",
        provision(certificate_request=request(other, "disk")),
        calls.get(None, None, None, None),  # type: ignore[arg-type]  # the ID Placeholder
    )
    install(server, "disk-2", results[1].certificate_value, pem(other))
    require_ended(server, "disk")
    for _ in range(2):
        [kept] = exchange(server, "disk-2", CREATE)
        assert kept
        server.stop()
        server.start()  # the authority and the table outlive the process
    require_ended(server, "disk")
    require_ended(server, "tape")
    assert mine


def test_generated_keys(own_server: RunningServer) -> None:
    server = own_server.start()
    [mine] = exchange(server, "tape", CREATE)
    [new] = exchange(server, "tape", provision())
    # The old certificate still gets the key.
    [key] = exchange(server, "tape", calls.get(new.unique_identifier, None, None, None))
    [ids] = exchange(server, "tape", calls.locate(None, None, None, None, None, None))
    objects = [exchange(server, "tape", calls.get(each, None, None, None))[0] for each in ids.ids]
    [certificate] = [each for each in objects if isinstance(each, Certificate)]
    private = load_der_private_key(key.key_block.key_value.key_material, None)
    install(server, "tape-2", certificate.certificate_value, pem(private))
    [value] = exchange(server, "tape-2", calls.get(mine, None, None, None))
    assert value.key_block


def test_a_certificate_of_the_client(own_server: RunningServer) -> None:
    server = own_server.start()
    [mine] = exchange(server, "tape", CREATE)
    server.pki.issue("spare", Purpose.CLIENT, datetime.now(UTC))
    stranger = certificate_of(server, "spare")
    [refused] = exchange(server, "tape", provision(certificate=stranger))
    assert isinstance(refused, OperationFailed)
    assert refused.reason is not None
    assert refused.reason.name == "PERMISSION_DENIED"
    own = server.pki.files("tape")
    old = (own.cert.read_bytes(), own.key.read_bytes())
    own.cert.unlink()
    own.key.unlink()
    server.pki.issue("tape", Purpose.CLIENT, datetime.now(UTC))
    new = certificate_of(server, "tape")
    previous = server.pki.files("old")
    previous.cert.write_bytes(old[0])
    previous.key.write_bytes(old[1])
    [made] = exchange(server, "old", provision(certificate=new))
    require_ended(server, "old")
    [value] = exchange(server, "tape", calls.get(mine, None, None, None))
    assert value.key_block
    assert exchange(server, "tape", calls.get(made.unique_identifier, None, None, None)) == [new]


def certificate_of(server: RunningServer, name: str) -> Certificate:
    loaded = x509.load_pem_x509_certificate(server.pki.files(name).cert.read_bytes())
    return Certificate(
        certificate_type=CertificateType.X_509,
        certificate_value=loaded.public_bytes(Encoding.DER),
    )
