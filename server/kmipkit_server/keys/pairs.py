"""New key pairs as objects: two keys with attributes and links (KMIP 1.4 §4.2, §4.5)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kmipkit.errors import OperationError
from kmipkit.keys import costs, describe, pairs, transparent
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
    common_names: frozenset[str] = frozenset()
    """Names that both keys have, because the request gives them to the pair (KMIP 1.4 §4.2)."""

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
        merge(private, ObjectType.PRIVATE_KEY),
        merge(public, ObjectType.PUBLIC_KEY),
        names_in(common or Attributes()),
    )


def names_in(attributes: Attributes) -> frozenset[str]:
    """The values of the Name attributes."""
    return frozenset(name.name_value for name in attributes.all(Tag.NAME))


def with_defaults(call: Call, attributes: PairAttributes) -> PairAttributes:
    """The attributes with the server's defaults for those that the client omits."""
    return PairAttributes(
        creation.with_defaults(call, ObjectType.PRIVATE_KEY, attributes.private),
        creation.with_defaults(call, ObjectType.PUBLIC_KEY, attributes.public),
        attributes.common_names,
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
    owner: str | None = None,
) -> tuple[Managed, Managed]:
    """Generate a pair and store both keys, linked to each other and with the given further links.

    The private key is stored first, so that it becomes the ID Placeholder.
    """
    halves = _generate(call, attributes)
    identifiers = [creation.new_identifier(call) for _ in halves]
    objects: list[Managed] = []
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
                owner=owner,
                # The first key must have them for itself, the second one shares them.
                shared_names=attributes.common_names if objects else (),
            )
        )
    private, public = objects
    return private, public


def _new_key(
    algorithm: CryptographicAlgorithm,
    length: int | None,
    curve: RecommendedCurve | None,
    formats: tuple[KeyFormatType, KeyFormatType],
) -> tuple[int, Any, Any]:
    """The length of a new pair, and its keys in the formats."""
    key = pairs.generate(algorithm, length, curve)
    private_format, public_format = formats
    public = key.public_key()
    return (
        describe.private_key_facts(key, algorithm).length,
        transparent.dump(key, private_format)
        if private_format in transparent.FORMATS
        else dump_private_key(key, private_format),
        transparent.dump(public, public_format)
        if public_format in transparent.FORMATS
        else dump_public_key(public, public_format),
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
    private_default, public_default = pairs.default_formats(algorithm, curve, call.version)
    private_format = attributes.private.get(Tag.KEY_FORMAT_TYPE) or private_default
    public_format = attributes.public.get(Tag.KEY_FORMAT_TYPE) or public_default
    bits, private_material, public_material = call.compute(
        _new_key, algorithm, length, curve, (private_format, public_format), cost=cost
    )

    def block(data: Any, key_format: KeyFormatType) -> KeyBlock:
        return KeyBlock(
            key_format_type=key_format,
            key_value=KeyValue(key_material=data),
            cryptographic_algorithm=algorithm,
            cryptographic_length=bits,
        )

    private = block(private_material, private_format)
    public = block(public_material, public_format)
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
