"""New key pairs as objects: two keys with their attributes and links (KMIP 1.4 §4.2, §4.5)."""

from collections.abc import Callable
from dataclasses import dataclass

from kmipkit.errors import OperationError
from kmipkit.keys import describe, pairs
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
    ResultReason,
)
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import creation
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed, is_multi_instance

SHARED = (
    Tag.CRYPTOGRAPHIC_ALGORITHM,
    Tag.CRYPTOGRAPHIC_LENGTH,
    Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS,
)
"""Attributes that describe the pair, the same for both halves (KMIP 1.4 §4.2, Table 168)."""


@dataclass(frozen=True, slots=True)
class PairAttributes:
    """The attributes that the halves of a pair are to have."""

    private: Attributes
    public: Attributes

    def shared(self, key: Tag) -> object:
        """A value of the pair; Invalid Field where the halves disagree."""
        values = {half.get(key) for half in (self.private, self.public)} - {None}
        if len(values) > 1:
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"{attribute_name(key)} must be the same for both keys of a pair",
            )
        return values.pop() if values else None


def requested_attributes(
    call: Call, common: Attributes | None, private: Attributes | None, public: Attributes | None
) -> PairAttributes:
    """What a request asks for: what it says of one half comes before what it says of both."""

    def half(own: Attributes | None, object_type: ObjectType) -> Attributes:
        given = creation.requested_attributes(call, own, object_type)
        both = creation.requested_attributes(call, common, object_type)
        inherited = (one for one in both if is_multi_instance(one.key) or one.key not in given)
        return Attributes((*given, *inherited))

    return PairAttributes(
        half(private, ObjectType.PRIVATE_KEY), half(public, ObjectType.PUBLIC_KEY)
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
    """Make a pair and store both halves, each linked to the other; ``links`` gives further ones.

    The private key is the first that the operation returns, and so the ID Placeholder. Slow.
    """
    halves = _make(attributes)
    identifiers = [creation.new_identifier(call) for _ in halves]
    made = []
    for half, own, other in zip(halves, identifiers, reversed(identifiers), strict=True):
        to_other = Link(link_type=half.link_type, linked_object_identifier=other)
        given = _complete(half.attributes, [to_other, *links(half.object_type)])
        facts = derived_attributes(half.value)
        made.append(
            creation.create(
                call, half.object_type, half.value, given, facts, generated=True, identifier=own
            )
        )
    private, public = made
    return private, public


def _make(attributes: PairAttributes) -> tuple[_Half, _Half]:
    algorithm = attributes.shared(Tag.CRYPTOGRAPHIC_ALGORITHM)
    if not isinstance(algorithm, CryptographicAlgorithm):
        raise OperationError(
            ResultReason.INVALID_FIELD, "a key pair needs the attribute Cryptographic Algorithm"
        )
    length = attributes.shared(Tag.CRYPTOGRAPHIC_LENGTH)
    domain = attributes.shared(Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS)
    curve = domain.recommended_curve if isinstance(domain, CryptographicDomainParameters) else None
    key = pairs.generate(algorithm, length if isinstance(length, int) else None, curve)
    bits = describe.private_key_facts(key, algorithm).length
    private_format, public_format = pairs.FORMATS.get(algorithm, pairs.DEFAULT_FORMATS)

    def block(data: bytes, key_format: KeyFormatType) -> KeyBlock:
        return KeyBlock(
            key_format_type=key_format,
            key_value=KeyValue(key_material=data),
            cryptographic_algorithm=algorithm,
            cryptographic_length=bits,
        )

    private = block(dump_private_key(key, private_format), private_format)
    public = block(dump_public_key(key.public_key(), public_format), public_format)
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


def _complete(given: Attributes, links: list[Link]) -> Attributes:
    """Without what the key itself tells, with its links and a usage mask."""
    rest = given.without(Tag.CRYPTOGRAPHIC_LENGTH)
    rest = creation.with_usage_mask(rest)
    return rest.plus(*(Attribute(Tag.LINK, link) for link in links))
