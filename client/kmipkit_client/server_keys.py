"""Private keys that stay in the server, as keys of the library ``cryptography``.

    from kmipkit_client.server_keys import server_key

    key = server_key(kms, identifier)
    certificate = builder.sign(key, hashes.SHA256())

The objects have the interfaces RSAPrivateKey and EllipticCurvePrivateKey, so that whatever takes such a
key takes them, too, such as the builders of certificates, requests and revocation lists. Sign and
Decrypt are requests to the server; what needs the bytes of the key is not possible.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    HashingAlgorithm,
    KeyFormatType,
    LinkType,
    MaskGenerator,
    PaddingMethod,
)
from kmipkit_client._sync.client import Client
from kmipkit_client.errors import ClientError
from kmipkit_client.values import material

HASHES: Mapping[type[hashes.HashAlgorithm], HashingAlgorithm] = MappingProxyType(
    {
        hashes.SHA1: HashingAlgorithm.SHA_1,
        hashes.SHA224: HashingAlgorithm.SHA_224,
        hashes.SHA256: HashingAlgorithm.SHA_256,
        hashes.SHA384: HashingAlgorithm.SHA_384,
        hashes.SHA512: HashingAlgorithm.SHA_512,
        hashes.SHA512_224: HashingAlgorithm.SHA_512_224,
        hashes.SHA512_256: HashingAlgorithm.SHA_512_256,
        hashes.SHA3_224: HashingAlgorithm.SHA3_224,
        hashes.SHA3_256: HashingAlgorithm.SHA3_256,
        hashes.SHA3_384: HashingAlgorithm.SHA3_384,
        hashes.SHA3_512: HashingAlgorithm.SHA3_512,
    }
)


def server_key(
    kms: Client, identifier: str, *, public: str | None = None
) -> "RSAServerKey | ECServerKey":
    """The private key with this identifier.

    Args:
        public: the identifier of its public key; by default that of its Public Key Link.

    Raises:
        ClientError: it has no public key in the server, or is neither of RSA nor of an elliptic curve.
        OperationFailed: the server does not give out the public key.
    """
    found = kms.get(
        public or _linked_public_key(kms, identifier), key_format_type=KeyFormatType.X_509
    )
    key = serialization.load_der_public_key(material(found))
    if isinstance(key, rsa.RSAPublicKey):
        return RSAServerKey(kms, identifier, key)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return ECServerKey(kms, identifier, key)
    raise ClientError(f"{identifier}: a {type(key).__name__} is neither of RSA nor of a curve")


def _linked_public_key(kms: Client, identifier: str) -> str:
    for link in kms.get_attributes(identifier, "Link").all("Link"):
        if link.link_type is LinkType.PUBLIC_KEY_LINK:
            return str(link.linked_object_identifier)
    raise ClientError(
        f"{identifier} has no Public Key Link; give the identifier of its public key as well"
    )


class _ServerKey:
    """What both kinds of keys have in common."""

    def __init__(self, kms: Client, identifier: str) -> None:
        self._kms = kms
        self._identifier = identifier

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,  # noqa: A002 - the name in the interface
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """Not possible: UnsupportedAlgorithm."""
        del encoding, format, encryption_algorithm
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UnsupportedAlgorithm(
            f"the private key {self._identifier} stays in the key server; use Get or Export if you need"
            " its bytes"
        )

    def _signature(self, data: bytes, digest: object, parameters: CryptographicParameters) -> bytes:
        if isinstance(digest, utils.Prehashed):
            return self._kms.sign(self._identifier, digested_data=data, parameters=parameters)
        return self._kms.sign(self._identifier, data, parameters=parameters)


class RSAServerKey(_ServerKey, rsa.RSAPrivateKey):
    """An RSA private key in the server."""

    def __init__(self, kms: Client, identifier: str, public: rsa.RSAPublicKey) -> None:
        super().__init__(kms, identifier)
        self._public = public

    @property
    def key_size(self) -> int:
        """The length of the modulus in bits."""
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """The public key."""
        return self._public

    def sign(self, data: bytes, padding: padding.AsymmetricPadding, algorithm: Any) -> bytes:
        """Sign data, or a digest that is Prehashed, in the server.

        Raises:
            UnsupportedAlgorithm: KMIP cannot express padding or algorithm.
            OperationFailed, ConnectionFailed: the server did not sign.
        """
        hashing = _hashing(algorithm)
        return self._signature(
            data, algorithm, _signature_padding(padding, hashing, algorithm.digest_size)
        )

    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> bytes:
        """Decrypt in the server. Raises as :meth:`sign`."""
        parameters = _encryption_padding(padding)
        return self._kms.decrypt(self._identifier, ciphertext, parameters=parameters)

    def private_numbers(self) -> NoReturn:
        """Not possible: UnsupportedAlgorithm."""
        self._refuse()


class ECServerKey(_ServerKey, ec.EllipticCurvePrivateKey):
    """A private key of an elliptic curve in the server."""

    def __init__(self, kms: Client, identifier: str, public: ec.EllipticCurvePublicKey) -> None:
        super().__init__(kms, identifier)
        self._public = public

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """The length of the key in bits."""
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public key."""
        return self._public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign data, or a digest that is Prehashed, in the server.

        Raises:
            UnsupportedAlgorithm: KMIP cannot express the algorithm.
            OperationFailed, ConnectionFailed: the server did not sign.
        """
        digest = signature_algorithm.algorithm
        parameters = CryptographicParameters(
            cryptographic_algorithm=CryptographicAlgorithm.ECDSA, hashing_algorithm=_hashing(digest)
        )
        return self._signature(bytes(data), digest, parameters)

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Not possible: UnsupportedAlgorithm. Derive Key makes a key that stays in the server."""
        del algorithm, peer_public_key
        self._refuse()

    def private_numbers(self) -> NoReturn:
        """Not possible: UnsupportedAlgorithm."""
        self._refuse()


# Algorithms of the library as parameters of KMIP ---------------------------------------------------


def _hashing(digest: object) -> HashingAlgorithm:
    algorithm = (
        getattr(digest, "_algorithm", None) if isinstance(digest, utils.Prehashed) else digest
    )
    hashing = HASHES.get(type(algorithm)) if isinstance(algorithm, hashes.HashAlgorithm) else None
    if hashing is None:
        name = getattr(algorithm, "name", type(algorithm).__name__)
        raise UnsupportedAlgorithm(
            f"keys of a key server are not used with the hash {name}; take for example SHA-256"
        )
    return hashing


def _mask(mgf: object) -> HashingAlgorithm:
    if not isinstance(mgf, padding.MGF1):
        raise UnsupportedAlgorithm(f"KMIP has no mask generator {type(mgf).__name__}")
    return _hashing(mgf._algorithm)


def _salt_length(chosen: padding.PSS, digest_size: int) -> int:
    salt = chosen._salt_length
    if salt is padding.PSS.DIGEST_LENGTH:
        return digest_size
    if not isinstance(salt, int):
        raise UnsupportedAlgorithm("the length of the salt must be a number, or DIGEST_LENGTH")
    return salt


def _signature_padding(
    chosen: padding.AsymmetricPadding, hashing: HashingAlgorithm, digest_size: int
) -> CryptographicParameters:
    rsa_key = CryptographicParameters(
        cryptographic_algorithm=CryptographicAlgorithm.RSA, hashing_algorithm=hashing
    )
    if isinstance(chosen, padding.PKCS1v15):
        return rsa_key.replace(padding_method=PaddingMethod.PKCS1_V1_5)
    if not isinstance(chosen, padding.PSS):
        raise UnsupportedAlgorithm(f"{chosen.name} is no padding of signatures in KMIP")
    return rsa_key.replace(
        padding_method=PaddingMethod.PSS,
        mask_generator=MaskGenerator.MFG1,
        mask_generator_hashing_algorithm=_mask(chosen.mgf),
        salt_length=_salt_length(chosen, digest_size),
    )


def _oaep(chosen: padding.OAEP) -> CryptographicParameters:
    return CryptographicParameters(
        cryptographic_algorithm=CryptographicAlgorithm.RSA,
        padding_method=PaddingMethod.OAEP,
        hashing_algorithm=_hashing(chosen.algorithm),
        mask_generator=MaskGenerator.MFG1,
        mask_generator_hashing_algorithm=_mask(chosen.mgf),
        p_source=chosen._label or None,
    )


def _encryption_padding(chosen: padding.AsymmetricPadding) -> CryptographicParameters:
    if isinstance(chosen, padding.PKCS1v15):
        return CryptographicParameters(
            cryptographic_algorithm=CryptographicAlgorithm.RSA,
            padding_method=PaddingMethod.PKCS1_V1_5,
        )
    if isinstance(chosen, padding.OAEP):
        return _oaep(chosen)
    raise UnsupportedAlgorithm(f"{chosen.name} is no padding of encryption in KMIP")
