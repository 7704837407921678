"""Re-key and Re-key Key Pair: replacements for keys (KMIP 1.4 §4.4, §4.5; KMIP 2.1 §6.1.46, .47)."""

from kmipkit.errors import OperationError
from kmipkit.keys.generate import generate_key
from kmipkit.model.attribute import Attribute
from kmipkit.model.objects import SymmetricKey
from kmipkit.model.payloads.rekey import (
    ReKeyKeyPairRequest,
    ReKeyKeyPairResponse,
    ReKeyRequest,
    ReKeyResponse,
)
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    LinkType,
    ObjectType,
    ResultReason,
)
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys import pairs
from kmipkit_server.objects import creation
from kmipkit_server.objects.access import load_for_change
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.replacement import back, inherited, merged, point, retire
from kmipkit_server.operations.create import raw_key


def _require_type(managed: Managed, wanted: ObjectType, operation_name: str) -> None:
    if managed.object_type is not wanted:
        word = wanted.name.replace("_", " ").title()
        raise OperationError(
            ResultReason.ILLEGAL_OBJECT_TYPE, f"{operation_name} replaces a {word}"
        )
    managed.require_alive()


def re_key(call: Call, request: ReKeyRequest) -> ReKeyResponse:
    """Make a replacement for a symmetric key, which takes over its names."""
    old = load_for_change(call, request.unique_identifier)
    _require_type(old, ObjectType.SYMMETRIC_KEY, "Re-key")
    given = creation.requested(call, request.attributes, ObjectType.SYMMETRIC_KEY)
    attributes = merged(given, inherited(call, old, request.offset))
    algorithm = CryptographicAlgorithm(attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM) or 0)
    bits = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH) or 0
    key = SymmetricKey(
        key_block=raw_key(generate_key(algorithm, bits, call.random), algorithm, bits)
    )
    nameless = retire(call, old)
    attributes = attributes.plus(Attribute(Tag.LINK, back(old)))
    managed = creation.create(
        call, ObjectType.SYMMETRIC_KEY, key, attributes, derived_attributes(key), generated=True
    )
    point(call, nameless, managed.id)
    return ReKeyResponse(unique_identifier=managed.id)


def re_key_key_pair(call: Call, request: ReKeyKeyPairRequest) -> ReKeyKeyPairResponse:
    """Make a replacement for both keys of a pair."""
    private = load_for_change(call, request.private_key_unique_identifier)
    _require_type(private, ObjectType.PRIVATE_KEY, "Re-key Key Pair")
    public = load_for_change(call, _public_half(private))
    _require_type(public, ObjectType.PUBLIC_KEY, "Re-key Key Pair")
    asked = pairs.requested(
        call,
        request.common_attributes,
        request.private_key_attributes,
        request.public_key_attributes,
    )
    wanted = pairs.Wanted(
        merged(asked.private, inherited(call, private, request.offset)),
        merged(asked.public, inherited(call, public, request.offset)),
    )
    halves = {ObjectType.PRIVATE_KEY: private, ObjectType.PUBLIC_KEY: public}
    nameless = [retire(call, old) for old in halves.values()]
    made = pairs.create(call, wanted, links=lambda half: [back(halves[half])])
    for old, new in zip(nameless, made, strict=True):
        point(call, old, new.id)
    return ReKeyKeyPairResponse(
        private_key_unique_identifier=made[0].id, public_key_unique_identifier=made[1].id
    )


def _public_half(private: Managed) -> str:
    """The public key of a pair, from the link of the private one."""
    for attribute in private.all(Tag.LINK):
        link = attribute.value
        if link.link_type == LinkType.PUBLIC_KEY_LINK and isinstance(
            link.linked_object_identifier, str
        ):
            return link.linked_object_identifier
    raise OperationError(
        ResultReason.OBJECT_NOT_FOUND, "the private key has no link to a public key"
    )
