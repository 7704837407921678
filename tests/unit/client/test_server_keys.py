"""Private keys in the server as keys of the library: signatures, certificates, decryption."""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import NameOID
from kmipkit_client import Client, ClientError, KeyPair
from kmipkit_client.server_keys import server_key
from servers import RunningServer

from kmipkit.spec.enums import CryptographicAlgorithm, RecommendedCurve
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V1_4, V2_1

SHA256, SHA384 = hashes.SHA256(), hashes.SHA384()
MGF = padding.MGF1(SHA256)


@pytest.fixture(params=[V1_4, V2_1], ids=str)
def kms(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[Client]:
    with server.client("signs", version=request.param) as client:
        yield client


def rsa_pair(kms: Client, mask: CryptographicUsageMask = CryptographicUsageMask.SIGN) -> KeyPair:
    public = {CryptographicUsageMask.SIGN: CryptographicUsageMask.VERIFY}
    pair = kms.create_key_pair(
        CryptographicAlgorithm.RSA,
        2048,
        usage=(mask, public.get(mask, CryptographicUsageMask.ENCRYPT)),
    )
    kms.activate(pair.private)
    return pair


def ec_pair(kms: Client) -> KeyPair:
    pair = kms.create_key_pair(CryptographicAlgorithm.ECDSA, curve=RecommendedCurve.P_256)
    kms.activate(pair.private)
    return pair


def digest(data: bytes) -> bytes:
    context = hashes.Hash(SHA256)
    context.update(data)
    return context.finalize()


def test_rsa_signatures_are_valid(kms: Client) -> None:
    key = server_key(kms, rsa_pair(kms).private)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert copy.deepcopy(key) is copy.copy(key) is key
    paddings: list[Any] = [
        padding.PKCS1v15(),
        padding.PSS(MGF, padding.PSS.DIGEST_LENGTH),
        padding.PSS(MGF, 20),
    ]
    for each in paddings:
        key.public_key().verify(key.sign(b"data", each, SHA256), b"data", each, SHA256)
        prehashed = key.sign(digest(b"data"), each, utils.Prehashed(SHA256))
        key.public_key().verify(prehashed, b"data", each, SHA256)


def test_signatures_on_a_curve_are_valid(kms: Client) -> None:
    key = server_key(kms, ec_pair(kms).private)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert (key.curve.name, key.key_size) == ("secp256r1", 256)
    for algorithm in (SHA256, SHA384):
        signature = key.sign(b"data", ec.ECDSA(algorithm))
        key.public_key().verify(signature, b"data", ec.ECDSA(algorithm))
    prehashed = key.sign(digest(b"data"), ec.ECDSA(utils.Prehashed(SHA256)))
    key.public_key().verify(prehashed, b"data", ec.ECDSA(SHA256))


@pytest.mark.parametrize("make", [rsa_pair, ec_pair])
def test_the_server_signs_certificates_and_requests(server: RunningServer, make: Any) -> None:
    """An authority whose key was never on this machine."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    now = datetime.now(UTC)
    with server.client("authority") as kms:
        key = server_key(kms, make(kms).private)
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256)
        assert request.is_signature_valid
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .sign(key, SHA256)
        )
        certificate.verify_directly_issued_by(certificate)
        revoked = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name)
            .last_update(now)
            .next_update(now + timedelta(days=1))
            .sign(key, SHA256)
        )
        assert revoked.is_signature_valid(key.public_key())


@pytest.mark.parametrize(
    "scheme",
    [
        padding.PKCS1v15(),
        padding.OAEP(MGF, SHA256, None),
        padding.OAEP(padding.MGF1(hashes.SHA1()), SHA256, b"label"),
    ],
    ids=["PKCS 1", "OAEP", "label"],
)
def test_the_server_decrypts(kms: Client, scheme: Any) -> None:
    key = server_key(kms, rsa_pair(kms, CryptographicUsageMask.DECRYPT).private)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.decrypt(key.public_key().encrypt(b"secret", scheme), scheme) == b"secret"


def test_what_needs_the_bytes_of_the_key_is_refused(kms: Client) -> None:
    rsa_key = server_key(kms, rsa_pair(kms).private)
    ec_key = server_key(kms, ec_pair(kms).private)
    assert isinstance(ec_key, ec.EllipticCurvePrivateKey)
    for refused in (
        rsa_key.private_numbers,
        ec_key.private_numbers,
        lambda: ec_key.exchange(ec.ECDH(), ec_key.public_key()),
        lambda: rsa_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    ):
        with pytest.raises(UnsupportedAlgorithm, match="stays in the key server"):
            refused()


def test_what_kmip_cannot_express_is_refused(kms: Client) -> None:
    key = server_key(kms, rsa_pair(kms).private)
    assert isinstance(key, rsa.RSAPrivateKey)
    with pytest.raises(UnsupportedAlgorithm, match="blake2b"):
        key.sign(b"data", padding.PKCS1v15(), hashes.BLAKE2b(64))
    with pytest.raises(UnsupportedAlgorithm, match="salt"):
        key.sign(b"data", padding.PSS(MGF, padding.PSS.MAX_LENGTH), SHA256)
    with pytest.raises(UnsupportedAlgorithm, match="no padding of signatures"):
        key.sign(b"data", padding.OAEP(MGF, SHA256, None), SHA256)
    with pytest.raises(UnsupportedAlgorithm, match="no padding of encryption"):
        key.decrypt(b"data", padding.PSS(MGF, 20))


def test_a_key_without_its_public_key_is_named(kms: Client) -> None:
    symmetric = kms.create()
    with pytest.raises(ClientError, match=f"{symmetric} has no Public Key Link"):
        server_key(kms, symmetric)
    pair = ec_pair(kms)
    assert server_key(kms, pair.private, public=pair.public).key_size == 256
