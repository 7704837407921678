"""The material of keys that the server itself uses.

A private key is validated when this process uses it for the first time, wherever it came from, and
not again: to validate an RSA key takes hundreds of times as long as to sign with it. Both are
computations that leave the event loop for large keys.
"""

import pickle
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from kmipkit.errors import OperationError
from kmipkit.keys import costs, derivation, hashes, macs, signatures, transparent
from kmipkit.keys.certificates import certificate_key
from kmipkit.keys.formats import load_private_key, load_public_key
from kmipkit.keys.parameters import Parameters
from kmipkit.model.keyblock import KeyValue, TransparentSymmetricKey
from kmipkit.model.objects import Certificate
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    ResultReason,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.computing import MAX_IN_PLACE
from kmipkit_server.objects.managed import Managed

_Result = TypeVar("_Result")


MAX_PLACES = 4096
"""Keys of which the server remembers where they are in the stored object."""

_places: dict[str, tuple[object, int, int]] = {}
"""By identifier: the version of the object, and where its key begins and ends in its stored form."""


def key_bytes(managed: Managed) -> bytes:
    """The Key Material of an unwrapped key. OperationError if the server cannot see it.

    An object that is used again and again is not decoded each time: its key is at the same place as
    long as it is the same version. The key itself is not kept.
    """
    record = managed.record
    version, start, end = _places.get(record.id, (None, 0, 0))
    if version is not None and version == record.version and record.material is not None:
        return record.material[start:end]
    key = _decoded_key(managed)
    if record.version is not None and record.material is not None:
        start = record.material.find(key)
        if key and start >= 0:
            if len(_places) >= MAX_PLACES:
                _places.clear()
            _places[record.id] = record.version, start, start + len(key)
    return key


def _decoded_key(managed: Managed) -> bytes:
    value = managed.key_block.key_value
    if value is None:
        raise OperationError(
            ResultReason.KEY_VALUE_NOT_PRESENT,
            "the server stores only the attributes of this key, not its value",
        )
    if not isinstance(value, KeyValue):
        raise OperationError(
            ResultReason.KEY_WRAP_TYPE_NOT_SUPPORTED,
            "the key is stored wrapped, so the server cannot use it",
        )
    if isinstance(value.key_material, TransparentSymmetricKey):
        return value.key_material.key
    if isinstance(value.key_material, bytes):
        return value.key_material
    raise OperationError(
        ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
        f"the server cannot use a key with the Key Format Type"
        f" {managed.key_block.key_format_type.name}",
    )


def public_key(managed: Managed) -> PublicKeyTypes:
    """The key in a Public Key or a Certificate. Invalid Object Type for other objects."""
    if managed.object_type is ObjectType.CERTIFICATE:
        value = managed.object
        assert isinstance(value, Certificate)
        return certificate_key(value.certificate_value)
    _require_type(managed, ObjectType.PUBLIC_KEY)
    return _load_public(managed)


def private_key(call: Call, managed: Managed) -> PrivateKeyTypes:
    """The key in a Private Key. Invalid Object Type for other objects."""
    return _load(_validated(call, managed))


def rsa_public_key(managed: Managed) -> RSAPublicKey:
    """The RSA key of a Public Key object. Invalid Object Type for a key of another algorithm."""
    key: RSAPublicKey = _require_rsa(_load_public(managed), RSAPublicKey)
    return key


def use_private_key(
    call: Call,
    managed: Managed,
    function: Callable[..., _Result],
    *arguments: Any,
    cost: float = 0.0,
) -> _Result:
    """Call a pure function with the key in a Private Key and further arguments; errors as above.

    ``cost`` is what the function takes besides an operation with the key, in milliseconds.
    """
    source = _validated(call, managed)
    cost += costs.rsa_operation(source.bits)
    result: _Result = call.compute(_with_key, source, function, arguments, cost=cost)
    return result


def use_rsa_private_key(
    call: Call, managed: Managed, function: Callable[..., _Result], *arguments: Any
) -> _Result:
    """The same with an RSA key. Invalid Object Type for a key of another algorithm."""
    source = _validated(call, managed)
    cost = costs.rsa_operation(source.bits)
    result: _Result = call.compute(_with_rsa_key, source, function, arguments, cost=cost)
    return result


def use_public_key(
    call: Call,
    key: PublicKeyTypes,
    function: Callable[..., _Result],
    *arguments: Any,
    cost: float = 0.0,
) -> _Result:
    """Call a pure function with a public key and further arguments.

    ``cost`` is what the function takes besides an operation with the key, in milliseconds.
    """
    cost += costs.public_operation(key)
    if cost <= MAX_IN_PLACE:
        if call.batch.is_single:
            return function(key, *arguments)
        in_place = (function, public_bytes(key), arguments)
        return call.compute_in_place(in_place, lambda: function(key, *arguments))
    result: _Result = call.compute(
        _with_public_key, public_bytes(key), function, arguments, cost=cost
    )
    return result


def public_bytes(key: PublicKeyTypes) -> bytes:
    """A public key in a form that can be sent to a worker."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def take(call: Call, signer: signatures.Signer, data: bytes) -> None:
    """Give a signer the whole message, or its digest, which is computed elsewhere if that takes long."""
    algorithm = signer.hashing_algorithm
    if algorithm is None:
        signer.update(data)
    else:
        cost = costs.hashing(algorithm, len(data))
        signer.set_digest(call.compute(hashes.digest, data, algorithm, cost=cost))


def sign(call: Call, managed: Managed, key: PrivateKeyTypes, signer: signatures.Signer) -> bytes:
    """The signature by a key of :func:`private_key`, of what the signer has taken."""
    parameters, data = signer.content()
    cost = costs.private_operation(key) + signer.cost
    if isinstance(key, RSAPrivateKey):
        return use_private_key(call, managed, signatures.sign_content, parameters, data)
    if cost <= MAX_IN_PLACE:
        return call.compute_in_place(
            (managed.id, parameters, data),
            lambda: signatures.sign_content(key, parameters, data),
        )
    return use_private_key(call, managed, signatures.sign_content, parameters, data, cost=cost)


def verify(call: Call, key: PublicKeyTypes, signer: signatures.Signer, signature: bytes) -> bool:
    """Whether a signature of what the signer has taken is valid, by a key of :func:`public_key`."""
    content = signer.content()
    return use_public_key(
        call, key, signatures.verify_content, *content, signature, cost=signer.cost
    )


def agree(call: Call, private: Managed, public: Managed) -> bytes:
    """The shared secret of two key pairs."""
    own, other = private_key(call, private), public_key(public)
    cost = costs.private_operation(own) + costs.public_operation(other)
    if cost <= MAX_IN_PLACE:
        return derivation.agree(own, other)
    return use_private_key(call, private, _agree, public_bytes(other), cost=cost)


def _agree(private: PrivateKeyTypes, public: bytes) -> bytes:
    return derivation.agree(private, load_der_public_key(public))


def mac_of(call: Call, managed: Managed, parameters: Parameters, data: bytes) -> bytes:
    """The message authentication code of some data with a Symmetric Key or Secret Data."""
    algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    cost = costs.mac(macs.selected(algorithm, parameters), len(data))
    return call.compute(macs.compute, key_bytes(managed), algorithm, parameters, data, cost=cost)


def _require_type(managed: Managed, object_type: ObjectType) -> None:
    if managed.object_type is not object_type:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"the operation needs {title_with_article(object_type)}",
        )


def _load_public(managed: Managed) -> PublicKeyTypes:
    key: PublicKeyTypes = _load_transparent(managed) or load_public_key(*_encoded(managed))
    return key


class _Source(NamedTuple):
    """From what a private key is loaded."""

    material: Any
    """The bytes, or the transparent structure."""
    key_format: KeyFormatType
    algorithm: CryptographicAlgorithm | None

    @property
    def bits(self) -> float:
        """About the length of an RSA key; other keys are less expensive than RSA of this length."""
        return private_key_bits(self.material)


def private_key_bits(material: object) -> float:
    """About the length of the RSA key that is in Key Material, to estimate its cost."""
    if isinstance(material, bytes):
        return costs.rsa_bits(len(material))
    numbers = (getattr(material, field, None) for field in ("modulus", "p", "q", "g", "d"))
    return max((number.bit_length() for number in numbers if isinstance(number, int)), default=0)


MAX_VALIDATED = 50_000
"""Private keys that are remembered as validated, by their digests."""


def _validated(call: Call, managed: Managed) -> _Source:
    """The source of a Private Key that has been validated."""
    _require_type(managed, ObjectType.PRIVATE_KEY)
    value = managed.key_block.key_value
    material = value.key_material if isinstance(value, KeyValue) else None
    if not transparent.is_transparent(material):
        material = key_bytes(managed)
    block = managed.key_block
    source = _Source(material, block.key_format_type, block.cryptographic_algorithm)
    known = call.batch.server.state.validated_keys
    digest = sha256(pickle.dumps(source)).digest()
    if digest not in known:
        call.compute(_validate, source, cost=costs.rsa_validation(source.bits))
        if len(known) >= MAX_VALIDATED:
            known.clear()
        known.add(digest)
    return source


def _validate(source: _Source) -> None:
    """Refuse a key that is not valid: the library reads it with all its checks."""
    _load(source, is_validated=False)


def _load(source: _Source, *, is_validated: bool = True) -> PrivateKeyTypes:
    if transparent.is_transparent(source.material):
        key: PrivateKeyTypes = transparent.load(source.material, is_validated=is_validated)
        return key
    return load_private_key(*source, is_validated=is_validated)


def _with_key(
    source: _Source, function: Callable[..., _Result], arguments: tuple[Any, ...]
) -> _Result:
    return function(_load(source), *arguments)


def _with_public_key(
    encoded: bytes, function: Callable[..., _Result], arguments: tuple[Any, ...]
) -> _Result:
    return function(load_der_public_key(encoded), *arguments)


def _with_rsa_key(
    source: _Source, function: Callable[..., _Result], arguments: tuple[Any, ...]
) -> _Result:
    return function(_require_rsa(_load(source), RSAPrivateKey), *arguments)


def _load_transparent(managed: Managed) -> Any:
    """The key of a transparent structure; None for other material."""
    value = managed.key_block.key_value
    material = value.key_material if isinstance(value, KeyValue) else None
    return transparent.load(material) if transparent.is_transparent(material) else None


def _encoded(managed: Managed) -> tuple[Any, ...]:
    """The bytes of a key, their format and its algorithm."""
    block = managed.key_block
    return key_bytes(managed), block.key_format_type, block.cryptographic_algorithm


def _require_rsa(key: object, key_class: type[Any]) -> Any:
    if not isinstance(key, key_class):
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            "the only asymmetric keys that support this operation are RSA keys",
        )
    return key
