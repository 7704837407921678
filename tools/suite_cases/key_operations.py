"""Cases of key pairs, of derived, replaced and split keys, and of certificates."""

from collections.abc import Iterator

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Link, Name
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import SecretData
from kmipkit.model.payloads import create, rekey
from kmipkit.model.payloads.certify import (
    CertifyRequest,
    CertifyResponse,
    ValidateRequest,
    ValidateResponse,
)
from kmipkit.model.payloads.register import RegisterRequest, RegisterResponse
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    DerivationMethod,
    KeyFormatType,
    LinkType,
    NameType,
    ObjectType,
    Operation,
    ResultReason,
    SecretDataType,
    SplitKeyMethod,
    State,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from suite_cases.steps import (
    KEY,
    Step,
    activate_object,
    check_attributes,
    check_key,
    create_pair,
    destroy_object,
    register_key,
    revoke_and_destroy,
    uid,
)


def key_pair(version: Version) -> Iterator[Step]:
    """Both keys have the common and their own attributes, and links to each other."""
    del version
    yield create_pair(CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY)
    halves = (
        (0, ObjectType.PRIVATE_KEY, CryptographicUsageMask.SIGN, LinkType.PUBLIC_KEY_LINK),
        (1, ObjectType.PUBLIC_KEY, CryptographicUsageMask.VERIFY, LinkType.PRIVATE_KEY_LINK),
    )
    for number, object_type, mask, link_type in halves:
        link = Link(link_type=link_type, linked_object_identifier=uid(1 - number))
        yield check_attributes(
            number,
            (Tag.OBJECT_TYPE, object_type),
            (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.RSA),
            (Tag.CRYPTOGRAPHIC_LENGTH, 2048),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, mask),
            (Tag.STATE, State.PRE_ACTIVE),
            (Tag.LINK, link),
        ).claiming(
            "each key of a pair has the common attributes, its own, and a Link to the other"
            " (KMIP 1.4 §4.2, KMIP 2.1 §6.1.9)"
        )
    yield destroy_object(0)
    yield destroy_object(1)


def derive_key(version: Version) -> Iterator[Step]:
    """PBKDF2 as in RFC 6070, and links in both directions."""
    del version
    secret = SecretData(
        secret_data_type=SecretDataType.PASSWORD,
        key_block=KeyBlock(
            key_format_type=KeyFormatType.OPAQUE, key_value=KeyValue(key_material=b"password")
        ),
    )
    yield Step(
        Operation.REGISTER,
        RegisterRequest(
            object_type=ObjectType.SECRET_DATA,
            attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.DERIVE_KEY)
            ),
            object=secret,
        ),
        RegisterResponse(unique_identifier=uid(0)),
    )
    yield activate_object(0)
    yield Step(
        Operation.DERIVE_KEY,
        rekey.DeriveKeyRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifiers=(uid(0),),
            derivation_method=DerivationMethod.PBKDF2,
            derivation_parameters=rekey.DerivationParameters(salt=b"salt", iteration_count=4096),
            attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
                (Tag.CRYPTOGRAPHIC_LENGTH, 128),
                (
                    Tag.CRYPTOGRAPHIC_USAGE_MASK,
                    CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT,
                ),
            ),
        ),
        rekey.DeriveKeyResponse(unique_identifier=uid(1)),
    )
    yield check_key(1, bytes.fromhex("4b007901b765489abead49d926f721d0"), 128).claiming(
        "the derived key is that of RFC 6070 (KMIP 1.4 §4.6, KMIP 2.1 §6.1.14)"
    )
    for number, link_type in (
        (0, LinkType.DERIVED_KEY_LINK),
        (1, LinkType.DERIVATION_BASE_OBJECT_LINK),
    ):
        link = Link(link_type=link_type, linked_object_identifier=uid(1 - number))
        yield check_attributes(number, (Tag.LINK, link)).claiming(
            "a derived key and its base object have Links to each other"
            " (KMIP 1.4 §4.6, KMIP 2.1 §6.1.14)"
        )
    yield destroy_object(1)
    yield from revoke_and_destroy(0)


def re_key(version: Version) -> Iterator[Step]:
    """The replacement has name, state and link; the old key has the opposite link."""
    major, minor = version
    name = Name(
        name_value=f"KIT-REKEY-{major}{minor}", name_type=NameType.UNINTERPRETED_TEXT_STRING
    )
    yield Step(
        Operation.CREATE,
        create.CreateRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
                (Tag.CRYPTOGRAPHIC_LENGTH, 256),
                (
                    Tag.CRYPTOGRAPHIC_USAGE_MASK,
                    CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT,
                ),
                (Tag.NAME, name),
            ),
        ),
        create.CreateResponse(object_type=ObjectType.SYMMETRIC_KEY, unique_identifier=uid(0)),
    )
    yield activate_object(0)
    yield Step(
        Operation.RE_KEY,
        rekey.ReKeyRequest(unique_identifier=uid(0)),
        rekey.ReKeyResponse(unique_identifier=uid(1)),
    )
    back = Link(link_type=LinkType.REPLACED_OBJECT_LINK, linked_object_identifier=uid(0))
    forth = Link(link_type=LinkType.REPLACEMENT_OBJECT_LINK, linked_object_identifier=uid(1))
    clauses = "(KMIP 1.4 §4.4, KMIP 2.1 §6.1.46)"
    yield check_attributes(
        1, (Tag.NAME, name), (Tag.STATE, State.ACTIVE), (Tag.LINK, back)
    ).claiming(
        f"a replacement key has the name and State of the old one, and a Link to it {clauses}"
    )
    yield check_attributes(0, (Tag.STATE, State.ACTIVE), (Tag.LINK, forth)).claiming(
        f"the old key has a Link to its replacement {clauses}"
    )
    yield from revoke_and_destroy(0, 1)


def split_key(version: Version) -> Iterator[Step]:
    """Two of three parts yield the key, one does not."""
    del version
    yield register_key(0, KEY, CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT)
    yield Step(
        Operation.CREATE_SPLIT_KEY,
        create.CreateSplitKeyRequest(
            object_type=ObjectType.SPLIT_KEY,
            unique_identifier=uid(0),
            split_key_parts=3,
            split_key_threshold=2,
            split_key_method=SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_16,
            attributes=Attributes(),
        ),
        create.CreateSplitKeyResponse(unique_identifiers=(uid(1), uid(2), uid(3))),
    )

    def join(*parts: int) -> create.JoinSplitKeyRequest:
        return create.JoinSplitKeyRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifiers=tuple(uid(part) for part in parts),
            attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT)
            ),
        )

    yield Step(
        Operation.JOIN_SPLIT_KEY, join(3, 1), create.JoinSplitKeyResponse(unique_identifier=uid(4))
    )
    yield check_key(4, KEY, 128).claiming(
        "as many parts as the threshold says yield the key (KMIP 1.4 §4.39, KMIP 2.1 §6.1.27)"
    )
    yield Step(Operation.JOIN_SPLIT_KEY, join(2), ResultReason.CRYPTOGRAPHIC_FAILURE).claiming(
        "fewer parts than the threshold do not yield the key (KMIP 1.4 §4.39, KMIP 2.1 §6.1.27)"
    )
    for number in range(5):
        yield destroy_object(number)


def certify(version: Version) -> Iterator[Step]:
    """A certificate for a key in the server; both have links."""
    attributes = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.ECDSA), (Tag.CRYPTOGRAPHIC_LENGTH, 256)
    )
    yield Step(
        Operation.CREATE_KEY_PAIR,
        create.CreateKeyPairRequest(
            common_attributes=attributes,
            private_key_attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.SIGN)
            ),
            public_key_attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.VERIFY)
            ),
        ),
        create.CreateKeyPairResponse(
            private_key_unique_identifier=uid(0), public_key_unique_identifier=uid(1)
        ),
        optional="key pairs for ECDSA",
    )
    yield Step(
        Operation.CERTIFY,
        CertifyRequest(
            unique_identifier=uid(1),
            attributes=Attributes.of((Tag.CERTIFICATE_TYPE, CertificateType.X_509)),
        ),
        CertifyResponse(unique_identifier=uid(2)),
    )
    to_key = Link(link_type=LinkType.PUBLIC_KEY_LINK, linked_object_identifier=uid(1))
    to_certificate = Link(link_type=LinkType.CERTIFICATE_LINK, linked_object_identifier=uid(2))
    yield check_attributes(
        2, (Tag.OBJECT_TYPE, ObjectType.CERTIFICATE), (Tag.LINK, to_key)
    ).claiming("a certificate has a Link to its public key (KMIP 1.4 §4.7, KMIP 2.1 §6.1.6)")
    yield check_attributes(1, (Tag.LINK, to_certificate)).claiming(
        "a certified public key has a Link to its certificate (KMIP 1.4 §4.7, KMIP 2.1 §6.1.6)"
    )
    yield Step(
        Operation.VALIDATE,
        ValidateRequest(unique_identifiers=(uid(2),)),
        ValidateResponse(validity_indicator=ValidityIndicator.VALID),
    )
    for number in (2, 1, 0):
        yield destroy_object(number)
    assert version
