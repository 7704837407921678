"""The operations that a mix can name: what each needs, and how its request is made.

A row of the table is all that an operation is. Those that read or use an object get one that was
prepared before the measurement; those that create have a name for the new object.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from kmipkit_client import calls, crypto_calls, symmetric_key
from kmipkit_client.calls import Call

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    DigitalSignatureAlgorithm,
    HashingAlgorithm,
    PaddingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.versions import V1_0, V1_1, V1_2, V1_4, Version
from kmipkit_load.keys import Key, Kind

ANY = frozenset(Kind)
SYMMETRIC = frozenset({Kind.SYMMETRIC})
IV_BYTES = {CryptographicAlgorithm.AES: 16, CryptographicAlgorithm.DES3: 8}
CONTACT = "Contact Information"

_USAGE: Mapping[Kind, Mask] = MappingProxyType(
    {
        Kind.SYMMETRIC: Mask.ENCRYPT | Mask.DECRYPT,
        Kind.MAC: Mask.MAC_GENERATE | Mask.MAC_VERIFY,
        Kind.PAIR: Mask.SIGN,
    }
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An object that was made before the measurement."""

    identifier: str
    name: str
    public: str = ""
    """The public key of a pair; ``identifier`` is the private key."""
    data: bytes = b""
    iv: bytes | None = None
    proof: bytes | None = None
    """The tag of what was encrypted, the signature or the MAC of ``data``."""

    @property
    def identifiers(self) -> tuple[str, ...]:
        """All objects that this is."""
        return (self.identifier, self.public) if self.public else (self.identifier,)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a row makes a request from."""

    version: Version
    key: Key
    size: int
    """Bytes of data, or of random bytes."""
    name: str = ""
    """Of a new object."""
    target: Prepared = Prepared("", "")


Ask = Callable[[Call[Any]], Any]
"""Sends a request and waits for its result."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A row."""

    name: str
    build: Callable[[Asked], Call[Any]]
    summary: str
    kinds: frozenset[Kind] = frozenset()
    """The keys with which it works; none if it needs no key."""
    default: str = "AES-256"
    """The key if the mix names none."""
    creates: bool = False
    has_data: bool = False
    since: Version = V1_0
    until_prepared: Callable[[Ask, Asked], Prepared] | None = None
    """What an object needs beyond being active: for example something that can be decrypted."""

    def __reduce__(self) -> tuple[Callable[[str], "Operation"], tuple[str]]:
        """The processes of a run pass on the name of a row."""
        return operation_of, (self.name,)

    @property
    def needs_object(self) -> bool:
        """Whether it works with an object that exists."""
        return bool(self.kinds) and not self.creates


def usage(key: Key) -> Mask:
    """The Cryptographic Usage Mask of a key; of a pair, that of the private key."""
    return _USAGE[key.kind]


def create(asked: Asked) -> Call[Any]:
    """Create a symmetric key."""
    key = asked.key
    return calls.create(key.algorithm, key.bits, usage(key), asked.name, None)


def create_key_pair(asked: Asked) -> Call[Any]:
    """Create a key pair."""
    key = asked.key
    return crypto_calls.create_key_pair(
        key.algorithm,
        key.bits,
        key.curve,
        (Mask.SIGN, Mask.VERIFY),
        (asked.name, f"{asked.name}-public"),
        None,
    )


def _register(asked: Asked) -> Call[Any]:
    key = asked.key
    value = symmetric_key(os.urandom(key.bits // 8), key.algorithm)
    return calls.register(value, usage(key), asked.name, None)


def _cipher(asked: Asked) -> CryptographicParameters:
    """GCM with an IV of the server where the version has a field for it, else CBC (KMIP 1.4 §3.6)."""
    if asked.version >= V1_4 and asked.key.algorithm is CryptographicAlgorithm.AES:
        return CryptographicParameters(
            block_cipher_mode=BlockCipherMode.GCM,
            tag_length=16,
            cryptographic_algorithm=asked.key.algorithm,
        )
    return CryptographicParameters(
        block_cipher_mode=BlockCipherMode.CBC,
        padding_method=PaddingMethod.PKCS5,
        cryptographic_algorithm=asked.key.algorithm,
    )


def _encrypt(asked: Asked) -> Call[Any]:
    parameters = _cipher(asked)
    is_gcm = parameters.block_cipher_mode is BlockCipherMode.GCM
    iv = None if is_gcm else os.urandom(IV_BYTES[asked.key.algorithm])
    return calls.encrypt(asked.target.identifier, bytes(asked.size), parameters, iv, None)


def _sealed(ask: Ask, asked: Asked) -> Prepared:
    sealed = ask(_encrypt(asked))
    return replace(asked.target, data=sealed.data, iv=sealed.iv, proof=sealed.tag)


def _decrypt(asked: Asked) -> Call[Any]:
    target = asked.target
    return calls.decrypt(
        target.identifier, target.data, _cipher(asked), target.iv, None, target.proof
    )


def _signature(key: Key) -> CryptographicParameters:
    if key.curve is not None:
        return CryptographicParameters(
            digital_signature_algorithm=DigitalSignatureAlgorithm.ECDSA_WITH_SHA256
        )
    return CryptographicParameters(
        padding_method=PaddingMethod.PKCS1_V1_5,
        hashing_algorithm=HashingAlgorithm.SHA_256,
        cryptographic_algorithm=CryptographicAlgorithm.RSA,
    )


def _sign(asked: Asked) -> Call[Any]:
    return crypto_calls.sign(
        asked.target.identifier, bytes(asked.size), _signature(asked.key), None
    )


def _signed(ask: Ask, asked: Asked) -> Prepared:
    return replace(asked.target, data=bytes(asked.size), proof=ask(_sign(asked)))


def _verify(asked: Asked) -> Call[Any]:
    target = asked.target
    assert target.proof is not None  # _signed has made it
    return crypto_calls.signature_verify(
        target.public, target.data, signature=target.proof, parameters=_signature(asked.key)
    )


def _mac_parameters(key: Key) -> CryptographicParameters:
    return CryptographicParameters(cryptographic_algorithm=key.algorithm)


def _mac(asked: Asked) -> Call[Any]:
    return crypto_calls.mac(asked.target.identifier, bytes(asked.size), _mac_parameters(asked.key))


def _with_mac(ask: Ask, asked: Asked) -> Prepared:
    return replace(asked.target, data=bytes(asked.size), proof=ask(_mac(asked)))


def _mac_verify(asked: Asked) -> Call[Any]:
    target = asked.target
    assert target.proof is not None  # _with_mac has made it
    return crypto_calls.mac_verify(
        target.identifier, target.data, target.proof, _mac_parameters(asked.key)
    )


def _with_contact(ask: Ask, asked: Asked) -> Prepared:
    ask(calls.add_attribute(asked.target.identifier, CONTACT, "before the measurement"))
    return asked.target


LIFE_CYCLE = "life-cycle"
"""A row whose requests come one after the other: Create, Activate, Get, Revoke and Destroy."""

_ROWS = (
    Operation(
        "discover-versions",
        lambda asked: calls.discover_versions(),
        "asks for the versions",
        since=V1_1,
    ),
    Operation("query", lambda asked: calls.query(()), "asks what the server supports"),
    Operation(
        "get",
        lambda asked: calls.get(asked.target.identifier, None, None, None),
        "reads an object with its key material",
        kinds=ANY,
    ),
    Operation(
        "get-attributes",
        lambda asked: calls.get_attributes(asked.target.identifier, ()),
        "reads all attributes of an object",
        kinds=ANY,
    ),
    Operation(
        "get-attribute-list",
        lambda asked: calls.get_attribute_list(asked.target.identifier),
        "reads the names of an object's attributes",
        kinds=ANY,
    ),
    Operation(
        "locate",
        lambda asked: calls.locate(asked.target.name, None, None, None, None, None),
        "finds an object by its name",
        kinds=ANY,
    ),
    Operation(
        "modify-attribute",
        lambda asked: calls.modify_attribute(
            asked.target.identifier, CONTACT, "during the measurement", None, None
        ),
        "changes an attribute of an object",
        kinds=ANY,
        until_prepared=_with_contact,
    ),
    Operation(
        "create", create, "creates a symmetric key", kinds=SYMMETRIC | {Kind.MAC}, creates=True
    ),
    Operation("register", _register, "stores a symmetric key", kinds=SYMMETRIC, creates=True),
    Operation(
        "create-key-pair",
        create_key_pair,
        "creates a key pair",
        kinds=frozenset({Kind.PAIR}),
        default="RSA-2048",
        creates=True,
    ),
    Operation(
        LIFE_CYCLE,
        create,
        "creates, activates, reads, revokes and destroys a key, one request after the other",
        kinds=SYMMETRIC,
        creates=True,
    ),
    Operation(
        "encrypt",
        _encrypt,
        "encrypts data (GCM; CBC before KMIP 1.4)",
        kinds=SYMMETRIC,
        has_data=True,
        since=V1_2,
    ),
    Operation(
        "decrypt",
        _decrypt,
        "decrypts data",
        kinds=SYMMETRIC,
        has_data=True,
        since=V1_2,
        until_prepared=_sealed,
    ),
    Operation(
        "sign",
        _sign,
        "signs data",
        kinds=frozenset({Kind.PAIR}),
        default="RSA-2048",
        has_data=True,
        since=V1_2,
    ),
    Operation(
        "signature-verify",
        _verify,
        "verifies a signature",
        kinds=frozenset({Kind.PAIR}),
        default="RSA-2048",
        has_data=True,
        since=V1_2,
        until_prepared=_signed,
    ),
    Operation(
        "mac",
        _mac,
        "computes a MAC",
        kinds=frozenset({Kind.MAC}),
        default="HMAC-SHA256",
        has_data=True,
        since=V1_2,
    ),
    Operation(
        "mac-verify",
        _mac_verify,
        "verifies a MAC",
        kinds=frozenset({Kind.MAC}),
        default="HMAC-SHA256",
        has_data=True,
        since=V1_2,
        until_prepared=_with_mac,
    ),
    Operation(
        "hash",
        lambda asked: crypto_calls.digest(bytes(asked.size), HashingAlgorithm.SHA_256),
        "computes a digest",
        has_data=True,
        since=V1_2,
    ),
    Operation(
        "rng-retrieve",
        lambda asked: crypto_calls.rng_retrieve(asked.size),
        "reads random bytes",
        has_data=True,
        since=V1_2,
    ),
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType({row.name: row for row in _ROWS})
"""The rows by name."""


def operation_of(name: str) -> Operation:
    """The row with a name."""
    return OPERATIONS[name]
