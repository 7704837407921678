"""New key pairs as objects: two keys with attributes and links (KMIP 1.4 §4.2, §4.5)."""

from collections.abc import Callable
from dataclasses import dataclass

from kmipkit.errors import OperationError
from kmipkit.keys import costs, describe, pairs
from kmipkit.keys.formats import dump_private_key, dump_public_key
from kmipkit.model.attribute import Attribute, Attributes, attribute_name
from kmipkit.model.attributes import CryptographicDomainParameters, Link
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import PrivateKey, PublicKey
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    LinkType,
    ObjectType,
    RecommendedCurve,
    ResultReason,
)
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import creation
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed, is_multi_instance


@dataclass(frozen=True, slots=True)
class PairAttributes:
    """The requested attributes of both keys of a pair."""

    private: Attributes
    public: Attributes

    def shared(self, key: Tag) -> object:
        """A value that both keys have in common (KMIP 1.4 §4.2); Invalid Field if they differ."""
        values = {attributes.get(key) for attributes in (self.private, self.public)} - {None}
        if len(values) > 1:
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"{attribute_name(key)} must be the same for both keys of a pair",
            )
        return values.pop() if values else None


def explicit_attributes(
    call: Call, common: Attributes | None, private: Attributes | None, public: Attributes | None
) -> PairAttributes:
    """The requested attributes: those of one key replace the common ones (KMIP 1.4 §4.2)."""

    def merge(own: Attributes | None, object_type: ObjectType) -> Attributes:
        requested = creation.explicit_attributes(call, own, object_type)
        not_replaced = (
            attribute
            for attribute in creation.explicit_attributes(call, common, object_type)
            if is_multi_instance(attribute.key) or attribute.key not in requested
        )
        return Attributes((*requested, *not_replaced))

    return PairAttributes(
        merge(private, ObjectType.PRIVATE_KEY), merge(public, ObjectType.PUBLIC_KEY)
    )


def with_defaults(call: Call, attributes: PairAttributes) -> PairAttributes:
    """The attributes with the server's defaults for those that the client omits."""
    return PairAttributes(
        creation.with_defaults(call, ObjectType.PRIVATE_KEY, attributes.private),
        creation.with_defaults(call, ObjectType.PUBLIC_KEY, attributes.public),
    )


@dataclass(frozen=True, slots=True)
class _Half:
    """One key of a pair, and the type of its link to the other."""

    value: PrivateKey | PublicKey
    object_type: ObjectType
    link_type: LinkType
    attributes: Attributes


def create(
    call: Call,
    attributes: PairAttributes,
    *,
    links: Callable[[ObjectType], list[Link]] = lambda _type: [],
) -> tuple[Managed, Managed]:
    """Generate a pair and store both keys, linked to each other and with the given further links.

    The private key is stored first, so that it becomes the ID Placeholder.
    """
    halves = _generate(call, attributes)
    identifiers = [creation.new_identifier(call) for _ in halves]
    objects = []
    for half, own, other in zip(halves, identifiers, reversed(identifiers), strict=True):
        to_other = Link(link_type=half.link_type, linked_object_identifier=other)
        objects.append(
            creation.create(
                call,
                half.object_type,
                half.value,
                _complete(half.attributes, [to_other, *links(half.object_type)]),
                derived_attributes(half.value),
                generated=True,
                identifier=own,
            )
        )
    private, public = objects
    return private, public


def _new_key(
    algorithm: CryptographicAlgorithm, length: int | None, curve: RecommendedCurve | None
) -> tuple[int, bytes, bytes]:
    """The length of a new pair, and its keys in their default formats."""
    key = pairs.generate(algorithm, length, curve)
    private_format, public_format = pairs.FORMATS.get(algorithm, pairs.DEFAULT_FORMATS)
    return (
        describe.private_key_facts(key, algorithm).length,
        dump_private_key(key, private_format),
        dump_public_key(key.public_key(), public_format),
    )


def _generate(call: Call, attributes: PairAttributes) -> tuple[_Half, _Half]:
    algorithm = attributes.shared(Tag.CRYPTOGRAPHIC_ALGORITHM)
    if not isinstance(algorithm, CryptographicAlgorithm):
        raise OperationError(
            ResultReason.INVALID_FIELD, "a key pair needs the attribute Cryptographic Algorithm"
        )
    length = attributes.shared(Tag.CRYPTOGRAPHIC_LENGTH)
    domain = attributes.shared(Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS)
    curve = domain.recommended_curve if isinstance(domain, CryptographicDomainParameters) else None
    length = length if isinstance(length, int) else None
    cost = costs.generation(algorithm, length or pairs.DEFAULT_LENGTH)
    bits, private_bytes, public_bytes = call.compute(_new_key, algorithm, length, curve, cost=cost)
    private_format, public_format = pairs.FORMATS.get(algorithm, pairs.DEFAULT_FORMATS)

    def block(data: bytes, key_format: KeyFormatType) -> KeyBlock:
        return KeyBlock(
            key_format_type=key_format,
            key_value=KeyValue(key_material=data),
            cryptographic_algorithm=algorithm,
            cryptographic_length=bits,
        )

    private = block(private_bytes, private_format)
    public = block(public_bytes, public_format)
    return (
        _Half(
            PrivateKey(key_block=private),
            ObjectType.PRIVATE_KEY,
            LinkType.PUBLIC_KEY_LINK,
            attributes.private,
        ),
        _Half(
            PublicKey(key_block=public),
            ObjectType.PUBLIC_KEY,
            LinkType.PRIVATE_KEY_LINK,
            attributes.public,
        ),
    )


def _complete(attributes: Attributes, links: list[Link]) -> Attributes:
    """With the links and a usage mask, and without the length, which follows from the key."""
    attributes = creation.with_usage_mask(attributes.without(Tag.CRYPTOGRAPHIC_LENGTH))
    return attributes.plus(*(Attribute(Tag.LINK, link) for link in links))
