"""Cases of wrapped keys (KMIP 1.4 §2.1.5, §2.1.6, §4.11; KMIP 2.1 §3.3, §7.18, §6.1.19)."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from kmipkit.model.attributes import CryptographicParameters, Link
from kmipkit.model.keyblock import (
    EncryptionKeyInformation,
    KeyBlock,
    KeyWrappingData,
    KeyWrappingSpecification,
)
from kmipkit.model.objects import SymmetricKey
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    EncodingOption,
    KeyFormatType,
    LinkType,
    ObjectType,
    Operation,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, V2_1, Version
from suite_cases.building import (
    ANY,
    UNREADABLE,
    WRONG_USE,
    R,
    Refused,
    read,
    rule,
    simple,
    without,
)
from suite_cases.object_rules import PROTECTION, fetch
from suite_cases.objects import OBJECTS, block, register
from suite_cases.steps import Case, Step, uid

_OP = Operation
_Type = ObjectType
_Mask = CryptographicUsageMask


_KEK = bytes(range(16))
DATA = bytes.fromhex("00112233445566778899aabbccddeeff")
# RFC 3394 §4.1: 128 bits of key data, wrapped with a key of 128 bits.
WRAPPED = bytes.fromhex("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5")
_METHOD = CryptographicParameters(block_cipher_mode=BlockCipherMode.NISTKEYWRAP)
WRAP_CLAUSES = "KMIP 1.4 §2.1.6, §4.11; KMIP 2.1 §7.18, §6.1.19"


def wrapping_key(
    mask: CryptographicUsageMask = _Mask.WRAP_KEY | _Mask.UNWRAP_KEY,
) -> tuple[Step, Step]:
    """The key 0, which wraps others, and is active."""
    return register(_Type.SYMMETRIC_KEY, 0, mask=mask), simple(_OP.ACTIVATE)


def secret() -> Step:
    """The key 1, which is wrapped."""
    return register(_Type.SYMMETRIC_KEY, 1, value=SymmetricKey(key_block=block(DATA)))


def specification_for(
    encoding: EncodingOption | None, number: int = 0, **fields: Any
) -> KeyWrappingSpecification:
    return KeyWrappingSpecification(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(
            unique_identifier=uid(number), cryptographic_parameters=_METHOD
        ),
        encoding_option=encoding,
        **fields,
    )


def wrapped_block(data: bytes, encoding: EncodingOption | None) -> SymmetricKey:
    return SymmetricKey(
        key_block=KeyBlock(
            key_format_type=KeyFormatType.RAW,
            key_value=data,
            cryptographic_algorithm=CryptographicAlgorithm.AES,
            cryptographic_length=128,
            key_wrapping_data=KeyWrappingData(
                wrapping_method=WrappingMethod.ENCRYPT,
                encryption_key_information=EncryptionKeyInformation(
                    unique_identifier=uid(0), cryptographic_parameters=_METHOD
                ),
                encoding_option=encoding,
            ),
        )
    )


def get_wrapped(data: bytes, asked: EncodingOption | None, told: EncodingOption | None) -> Step:
    return fetch(
        _Type.SYMMETRIC_KEY,
        wrapped_block(data, told),
        1,
        key_wrapping_specification=specification_for(asked),
    )


_WRAPPING = "wrapping with AES Key Wrap"
RAW = EncodingOption.NO_ENCODING
_ATTRIBUTES_AND_RAW = Refused(
    (R.ENCODING_OPTION_ERROR, R.ILLEGAL_OPERATION, R.FEATURE_NOT_SUPPORTED),
    (R.ENCODING_OPTION_ERROR, R.INVALID_FIELD, R.FEATURE_NOT_SUPPORTED),
)
"""KMIP 1.4 §11.12; a server may also not wrap attributes at all."""


def _wrap_raw(version: Version) -> Iterator[Step]:
    del version
    yield from wrapping_key()
    yield secret()
    yield (
        get_wrapped(WRAPPED, RAW, RAW)
        .needing(_WRAPPING)
        .claiming(f"a key wrapped with No Encoding is that of RFC 3394 ({WRAP_CLAUSES})")
    )


def _wrap_ttlv(version: Version) -> Iterator[Step]:
    del version
    # A Key Value with a Key Material of 16 bytes.
    encoded = bytes.fromhex("42004501000000184200430800000010") + DATA
    yield from wrapping_key()
    yield secret()
    yield (
        get_wrapped(aes_key_wrap(_KEK, encoded), None, None)
        .needing(_WRAPPING)
        .claiming(
            f"without an Encoding Option, the Key Value is encoded as TTLV before it is wrapped ({WRAP_CLAUSES})"
        )
    )


def _wrap(
    how: Refused,
    claim: str,
    before: tuple[Step, ...],
    specification: Any,
    version: Version,
    edit: Any = None,
) -> Iterator[Step]:
    yield from before
    value = specification(version) if callable(specification) else specification
    step = fetch(
        _Type.SYMMETRIC_KEY, OBJECTS[_Type.SYMMETRIC_KEY][0], 1, key_wrapping_specification=value
    )
    # A server need not wrap keys at all.
    none = R.FEATURE_NOT_SUPPORTED, R.KEY_WRAP_TYPE_NOT_SUPPORTED
    if how.old:
        how = replace(how, old=(*how.old, none[0]), new=(*(how.new or how.old), *none))
    yield (step.edited(edit) if edit else step).refused(how, claim)


def _named_attributes(version: Version) -> KeyWrappingSpecification:
    names: dict[str, Any] = (
        {"attribute_names": ("Cryptographic Length",)}
        if version >= V2_0
        else {"attribute_references": (Tag.CRYPTOGRAPHIC_LENGTH,)}
    )
    return specification_for(RAW, **names)


def _wraps() -> Iterator[Case]:
    yield rule(
        "WRAP-NO-ENCODING", f"Get of a wrapped key, without encoding ({WRAP_CLAUSES}).", _wrap_raw
    )
    yield rule("WRAP-TTLV", f"Get of a wrapped key, encoded as TTLV ({WRAP_CLAUSES}).", _wrap_ttlv)
    both = (*wrapping_key(), secret())
    no_use = (*wrapping_key(_Mask.ENCRYPT), secret())
    for name, how, what, before, specification, edit in (
        ("NO-MASK", WRONG_USE, "a key without the usage Wrap Key wraps nothing", no_use, specification_for(RAW), None),
        ("NO-KEY", Refused((R.ITEM_NOT_FOUND,), (R.WRAPPING_OBJECT_NOT_FOUND, R.OBJECT_NOT_FOUND, R.ITEM_NOT_FOUND)),
         "a wrapping key must exist", both, _absent_kek(), None),
        ("NO-INFORMATION", ANY,
         "a Key Wrapping Specification names a key for encryption or for a MAC", both, specification_for(RAW),
         without(Tag.KEY_WRAPPING_SPECIFICATION, Tag.ENCRYPTION_KEY_INFORMATION)),
        ("NO-METHOD", UNREADABLE, "a Key Wrapping Specification has a Wrapping Method", both, specification_for(RAW),
         without(Tag.KEY_WRAPPING_SPECIFICATION, Tag.WRAPPING_METHOD)),
        ("ATTRIBUTES", _ATTRIBUTES_AND_RAW, "with No Encoding, attributes cannot be wrapped with the key", both, _named_attributes, None),
        ("NOT-A-KEY", Refused((R.ILLEGAL_OPERATION, R.PERMISSION_DENIED), (R.INVALID_OBJECT_TYPE, R.ILLEGAL_OBJECT_TYPE, R.INVALID_FIELD, R.PERMISSION_DENIED, R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK, R.WRONG_KEY_LIFECYCLE_STATE)),
         "an object that is not a key wraps nothing", (register(_Type.CERTIFICATE), secret()), specification_for(RAW), None),
    ):  # fmt: skip
        claim = f"{what} ({WRAP_CLAUSES}; KMIP 1.4 §11.12)"
        yield rule(
            f"WRAP-{name}",
            f"{what[0].upper()}{what[1:]} ({WRAP_CLAUSES}; KMIP 1.4 §11.12).",
            partial(_wrap, how, claim, before, specification, edit=edit),
        )
    yield rule(
        "WRAP-SENSITIVE",
        "A sensitive key leaves the server wrapped (KMIP 1.4 §3.48, KMIP 2.1 §4.55).",
        _wrap_sensitive,
    )
    yield rule(
        "WRAP-REGISTER",
        "A wrapped key comes back as it was registered, and has a Link in 2.1 (KMIP 1.4 §2.1.5, §4.11;"
        " KMIP 2.1 §3.3, §6.1.43).",
        _register_wrapped,
    )


def _absent_kek() -> KeyWrappingSpecification:
    return KeyWrappingSpecification(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(
            unique_identifier="KIT-no-such-object", cryptographic_parameters=_METHOD
        ),
        encoding_option=RAW,
    )


def _wrap_sensitive(version: Version) -> Iterator[Step]:
    del version
    yield from wrapping_key()
    secret = SymmetricKey(key_block=block(DATA))
    yield register(_Type.SYMMETRIC_KEY, 1, (Tag.SENSITIVE, True), value=secret).needing(PROTECTION)
    yield (
        get_wrapped(WRAPPED, RAW, RAW)
        .needing(_WRAPPING)
        .claiming("a sensitive key can be had wrapped (KMIP 1.4 §3.48, KMIP 2.1 §4.55)")
    )


def _register_wrapped(version: Version) -> Iterator[Step]:
    yield from wrapping_key()
    value = wrapped_block(WRAPPED, RAW)
    yield register(_Type.SYMMETRIC_KEY, 1, value=value).needing("wrapped keys in Register")
    yield fetch(_Type.SYMMETRIC_KEY, value, 1).claiming(
        "a key that was registered wrapped comes back wrapped (KMIP 1.4 §2.1.5, §4.11; KMIP 2.1 §3.3)"
    )
    if version >= V2_1:
        link = Link(link_type=LinkType.WRAPPING_KEY_LINK, linked_object_identifier=uid(0))
        yield read(Tag.LINK, found=[(Tag.LINK, link)], number=1).claiming(
            "a wrapped key has a Link to the key that wrapped it (KMIP 2.1 §6.1.43)"
        )


CASES = tuple(_wraps())
