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
from kmipkit.spec.titles import title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.keys import pairs
from kmipkit_server.keys.conversion import as_requested
from kmipkit_server.objects import creation
from kmipkit_server.objects.access import load_for_change
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.protection_storage import require_pair_storage, require_storage
from kmipkit_server.objects.replacement import (
    link_to_replaced,
    link_to_replacement,
    release_names,
    replacing_attributes,
    require_not_replaced,
)
from kmipkit_server.operations.create import raw_key


def _require_type(managed: Managed, object_type: ObjectType, operation_name: str) -> None:
    if managed.object_type is not object_type:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"{operation_name} replaces {title_with_article(object_type)},"
            f" not {title_with_article(managed.object_type)}",
        )
    managed.require_alive()
    if managed.key_block.key_value is None:
        raise OperationError(
            ResultReason.KEY_VALUE_NOT_PRESENT,
            "the server stores only the attributes of this key, so that it cannot be replaced",
        )


def re_key(call: Call, request: ReKeyRequest) -> ReKeyResponse:
    """Generate a replacement for a symmetric key, which takes over its names."""
    old = load_for_change(call, request.unique_identifier)
    _require_type(old, ObjectType.SYMMETRIC_KEY, "Re-key")
    require_not_replaced(call, old)
    require_storage(request.protection_storage_masks)
    requested = creation.explicit_attributes(call, request.attributes, ObjectType.SYMMETRIC_KEY)
    attributes = replacing_attributes(call, requested, old, request.offset)
    algorithm = CryptographicAlgorithm(attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM) or 0)
    bits = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH) or 0
    key = SymmetricKey(key_block=raw_key(generate_key(algorithm, bits, call.draw), algorithm, bits))
    key = as_requested(key, requested)
    nameless = release_names(call, old)
    attributes = attributes.plus(Attribute(Tag.LINK, link_to_replaced(old)))
    managed = creation.create(
        call, ObjectType.SYMMETRIC_KEY, key, attributes, derived_attributes(key), generated=True,
        owner=old.record.owner,
    )  # fmt: skip
    link_to_replacement(call, nameless, managed.id)
    return ReKeyResponse(unique_identifier=managed.id)


def re_key_key_pair(call: Call, request: ReKeyKeyPairRequest) -> ReKeyKeyPairResponse:
    """Generate replacements for both keys of a pair."""
    private = load_for_change(call, request.private_key_unique_identifier)
    _require_type(private, ObjectType.PRIVATE_KEY, "Re-key Key Pair")
    public = load_for_change(call, _public_half(private))
    _require_type(public, ObjectType.PUBLIC_KEY, "Re-key Key Pair")
    for old in (private, public):
        require_not_replaced(call, old)
    require_pair_storage(
        request.common_protection_storage_masks,
        request.private_protection_storage_masks,
        request.public_protection_storage_masks,
    )
    requested = pairs.explicit_attributes(
        call,
        request.common_attributes,
        request.private_key_attributes,
        request.public_key_attributes,
    )
    attributes = pairs.PairAttributes(
        replacing_attributes(call, requested.private, private, request.offset),
        replacing_attributes(call, requested.public, public, request.offset),
        requested.common_names
        | (pairs.names_in(private.attributes) & pairs.names_in(public.attributes)),
    )
    halves = {ObjectType.PRIVATE_KEY: private, ObjectType.PUBLIC_KEY: public}
    nameless = [release_names(call, old) for old in halves.values()]
    replacements = pairs.create(
        call, attributes, links=lambda object_type: [link_to_replaced(halves[object_type])],
        owner=private.record.owner,
    )  # fmt: skip
    for old, new in zip(nameless, replacements, strict=True):
        link_to_replacement(call, old, new.id)
    return ReKeyKeyPairResponse(
        private_key_unique_identifier=replacements[0].id,
        public_key_unique_identifier=replacements[1].id,
    )


def _public_half(private: Managed) -> str:
    """The public key of a pair, from the link of the private one."""
    for attribute in private.instances(Tag.LINK):
        link = attribute.value
        if link.link_type == LinkType.PUBLIC_KEY_LINK and isinstance(
            link.linked_object_identifier, str
        ):
            return link.linked_object_identifier
    raise OperationError(ResultReason.OBJECT_NOT_FOUND, "the Private Key has no Public Key Link")
