"""Cases of keys that follow from others: pairs, replacements, derived and split keys, certificates."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kmipkit.model.attribute import AttributeKey, Attributes
from kmipkit.model.attributes import Link, Name
from kmipkit.model.payloads import certify, create, rekey
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    LinkType,
    NameType,
    ObjectType,
    Operation,
    SplitKeyMethod,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from suite_cases.attribute_values import FUTURE, PAST
from suite_cases.building import (
    ANY,
    R,
    Refused,
    attributes_needed,
    create_key,
    read,
    rule,
    simple,
)
from suite_cases.objects import register
from suite_cases.steps import NOW, Step, create_pair, uid

_OP = Operation
_Mask = CryptographicUsageMask
_PAIR = "KMIP 1.4 §4.2, KMIP 2.1 §6.1.9"
_RE_KEY = "KMIP 1.4 §4.4, KMIP 2.1 §6.1.46"
_RE_KEY_PAIR = "KMIP 1.4 §4.5, KMIP 2.1 §6.1.47"
_DERIVE = "KMIP 1.4 §4.6, KMIP 2.1 §6.1.14"
_CERTIFY = "KMIP 1.4 §4.7, KMIP 2.1 §6.1.6"
_RE_CERTIFY = "KMIP 1.4 §4.8, KMIP 2.1 §6.1.45"
_SPLIT = "KMIP 1.4 §4.38, KMIP 2.1 §6.1.10"
_JOIN = "KMIP 1.4 §4.39, KMIP 2.1 §6.1.27"
Pair = tuple[AttributeKey, Any]


def link_to(link_type: LinkType, number: int) -> Pair:
    return Tag.LINK, Link(link_type=link_type, linked_object_identifier=uid(number))


def has(number: int, claim: str, *found: Pair) -> Step:
    keys = tuple(dict.fromkeys(key for key, _ in found))
    return read(*keys, found=found, number=number).claiming(claim)


# --- Create Key Pair -------------------------------------------------------------------------------


def pair(
    common: tuple[Pair, ...] = (), private: tuple[Pair, ...] = (), public: tuple[Pair, ...] = ()
) -> Step:
    """Create an EC pair as the objects 0 (private) and 1 (public)."""
    return Step(
        _OP.CREATE_KEY_PAIR,
        create.CreateKeyPairRequest(
            common_attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.RSA),
                (Tag.CRYPTOGRAPHIC_LENGTH, 2048),
                *common,
            ),
            private_key_attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.SIGN), *private
            ),
            public_key_attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.VERIFY), *public
            ),
        ),
        create.CreateKeyPairResponse(
            private_key_unique_identifier=uid(0), public_key_unique_identifier=uid(1)
        ),
        optional=attributes_needed((*common, *private, *public)),
    )


def _pair_private_link(version: Version) -> Iterator[Step]:
    del version
    yield create_pair(_Mask.SIGN, _Mask.VERIFY)
    yield has(
        0,
        f"the private key has a Link to the public key ({_PAIR})",
        link_to(LinkType.PUBLIC_KEY_LINK, 1),
    )


def _pair_public_link(version: Version) -> Iterator[Step]:
    del version
    yield create_pair(_Mask.SIGN, _Mask.VERIFY)
    yield has(
        1,
        f"the public key has a Link to the private key ({_PAIR})",
        link_to(LinkType.PRIVATE_KEY_LINK, 0),
    )


def _pair_union(version: Version) -> Iterator[Step]:
    del version
    groups = [(Tag.OBJECT_GROUP, f"KIT-{name}") for name in ("common", "private")]
    yield pair((groups[0],), (groups[1],))
    claim = f"a key has the instances of the common and of its own attributes ({_PAIR})"
    yield has(0, claim, *groups)
    yield has(1, claim, groups[0])


def _pair_own_first(version: Version) -> Iterator[Step]:
    del version
    yield pair(
        ((Tag.CONTACT_INFORMATION, "common"),), private=((Tag.CONTACT_INFORMATION, "private"),)
    )
    claim = f"a value for one key of the pair precedes the common one ({_PAIR})"
    yield has(0, claim, (Tag.CONTACT_INFORMATION, "private"))
    yield has(1, claim, (Tag.CONTACT_INFORMATION, "common"))


def _pair_same(version: Version) -> Iterator[Step]:
    del version
    yield create_pair(_Mask.SIGN, _Mask.VERIFY)
    for number in (0, 1):
        yield has(
            number,
            f"both keys of a pair have the same algorithm and length ({_PAIR})",
            (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.RSA),
            (Tag.CRYPTOGRAPHIC_LENGTH, 2048),
        )


# --- Re-key ----------------------------------------------------------------------------------------


def _re_key(old: int = 0, new: int = 1, offset: int | None = None, *pairs: Pair) -> Step:
    return Step(
        _OP.RE_KEY,
        rekey.ReKeyRequest(
            unique_identifier=uid(old), offset=offset, attributes=Attributes.of(*pairs)
        ),
        rekey.ReKeyResponse(unique_identifier=uid(new)),
    )


def _name(version: Version, text: str) -> Pair:
    name = Name(name_value=f"KIT-{text}-{version}", name_type=NameType.UNINTERPRETED_TEXT_STRING)
    return Tag.NAME, name


def _re_key_case(name: str) -> Any:
    def steps(version: Version) -> Iterator[Step]:
        old_name = _name(version, f"RE-KEY-{name}")
        yield create_key(0, old_name)
        yield simple(_OP.ACTIVATE)
        yield _re_key()
        if name == "OLD-LINK":
            yield has(
                0,
                f"the old key has a Link to its replacement ({_RE_KEY})",
                link_to(LinkType.REPLACEMENT_OBJECT_LINK, 1),
            )
        elif name == "NEW-LINK":
            yield has(
                1,
                f"the replacement has a Link to the old key ({_RE_KEY})",
                link_to(LinkType.REPLACED_OBJECT_LINK, 0),
            )
        elif name == "NAME":
            yield has(1, f"the replacement has the Name of the old key ({_RE_KEY})", old_name)
            yield read(Tag.NAME, found=[]).claiming(f"the old key has lost its Name ({_RE_KEY})")
        elif name == "COPY":
            yield has(
                1,
                f"the replacement has the algorithm, length and usage of the old key ({_RE_KEY})",
                (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
                (Tag.CRYPTOGRAPHIC_LENGTH, 128),
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT | _Mask.DECRYPT),
            )
        else:
            yield _re_key(0, 2).refused(
                ANY, "a key has one replacement at most (KMIP 1.4 §3.35, KMIP 2.1 §11.28)"
            )

    return steps


_DAY = 86400


def _re_key_offset(version: Version) -> Iterator[Step]:
    del version
    start, end = FUTURE, FUTURE + timedelta(days=30)
    yield create_key(0, (Tag.ACTIVATION_DATE, start), (Tag.DEACTIVATION_DATE, end))
    yield _re_key(0, 1, _DAY)
    activation = NOW + timedelta(seconds=_DAY)
    yield has(
        1,
        f"with an Offset, the dates of the replacement have the distances of the old ones ({_RE_KEY})",
        (Tag.ACTIVATION_DATE, activation),
        (Tag.DEACTIVATION_DATE, activation + timedelta(days=30)),
    )


def _re_key_pair_offset(version: Version) -> Iterator[Step]:
    del version
    start, end = FUTURE, FUTURE + timedelta(days=30)
    yield pair(((Tag.ACTIVATION_DATE, start), (Tag.DEACTIVATION_DATE, end)))
    yield Step(
        _OP.RE_KEY_KEY_PAIR,
        rekey.ReKeyKeyPairRequest(private_key_unique_identifier=uid(0), offset=_DAY),
        rekey.ReKeyKeyPairResponse(
            private_key_unique_identifier=uid(2), public_key_unique_identifier=uid(3)
        ),
    )
    activation = NOW + timedelta(seconds=_DAY)
    for number in (2, 3):
        yield has(
            number,
            "with an Offset, the dates of the replacements have the distances of the old ones"
            f" ({_RE_KEY_PAIR})",
            (Tag.ACTIVATION_DATE, activation),
            (Tag.DEACTIVATION_DATE, activation + timedelta(days=30)),
        )


def _re_key_offset_and_date(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, (Tag.ACTIVATION_DATE, PAST)).needing("an Activation Date that is past")
    how = Refused(
        (R.INVALID_MESSAGE,),
        (R.INVALID_MESSAGE, R.INVALID_FIELD, R.INVALID_ATTRIBUTE, R.INVALID_ATTRIBUTE_VALUE),
    )
    yield _re_key(0, 1, _DAY, (Tag.ACTIVATION_DATE, FUTURE)).refused(
        how, f"an Offset excludes an Activation Date ({_RE_KEY}; KMIP 1.4 §11.5)"
    )


def _re_key_wrong_type(version: Version) -> Iterator[Step]:
    del version
    yield register(ObjectType.OPAQUE_OBJECT)
    how = Refused(
        (R.PERMISSION_DENIED,),
        (R.INVALID_OBJECT_TYPE, R.ILLEGAL_OBJECT_TYPE, R.PERMISSION_DENIED, R.INVALID_FIELD),
    )
    yield _re_key().refused(
        how, f"only a symmetric key can be re-keyed ({_RE_KEY}; KMIP 1.4 §11.5)"
    )


def _re_key_pair(name: str) -> Any:
    def steps(version: Version) -> Iterator[Step]:
        del version
        yield create_pair(_Mask.SIGN, _Mask.VERIFY)
        yield simple(_OP.ACTIVATE, 0)
        yield Step(
            _OP.RE_KEY_KEY_PAIR,
            rekey.ReKeyKeyPairRequest(private_key_unique_identifier=uid(0)),
            rekey.ReKeyKeyPairResponse(
                private_key_unique_identifier=uid(2), public_key_unique_identifier=uid(3)
            ),
        )
        if name == "OLD-LINKS":
            claim = f"each old key has a Link to its replacement ({_RE_KEY_PAIR})"
            yield has(0, claim, link_to(LinkType.REPLACEMENT_OBJECT_LINK, 2))
            yield has(1, claim, link_to(LinkType.REPLACEMENT_OBJECT_LINK, 3))
        elif name == "NEW-LINKS":
            claim = f"each replacement has a Link to the old key ({_RE_KEY_PAIR})"
            yield has(2, claim, link_to(LinkType.REPLACED_OBJECT_LINK, 0))
            yield has(3, claim, link_to(LinkType.REPLACED_OBJECT_LINK, 1))
        else:
            claim = f"the replacements have Links to each other ({_RE_KEY_PAIR})"
            yield has(2, claim, link_to(LinkType.PUBLIC_KEY_LINK, 3))
            yield has(3, claim, link_to(LinkType.PRIVATE_KEY_LINK, 2))

    return steps


# --- certificates ----------------------------------------------------------------------------------


def certified(offset: int | None = None) -> Iterator[Step]:
    """A pair, 0 and 1, and the certificate 2 for it."""
    del offset
    yield create_pair(_Mask.SIGN, _Mask.VERIFY)
    yield Step(
        _OP.CERTIFY,
        certify.CertifyRequest(
            unique_identifier=uid(1),
            attributes=Attributes.of((Tag.CERTIFICATE_TYPE, CertificateType.X_509)),
        ),
        certify.CertifyResponse(unique_identifier=uid(2)),
    )


def _certificate(name: str) -> Any:
    def steps(version: Version) -> Iterator[Step]:
        del version
        yield from certified()
        if name == "KEY-LINK":
            yield has(
                1,
                f"the public key has a Link to the certificate ({_CERTIFY})",
                link_to(LinkType.CERTIFICATE_LINK, 2),
            )
        elif name == "LINK":
            yield has(
                2,
                f"the certificate has a Link to the public key ({_CERTIFY})",
                link_to(LinkType.PUBLIC_KEY_LINK, 1),
            )
        elif name == "ATTRIBUTES":
            yield has(
                2,
                f"a new certificate has its type ({_CERTIFY}; KMIP 1.4 §3.8, KMIP 2.1 §4.7)",
                (Tag.OBJECT_TYPE, ObjectType.CERTIFICATE),
                (Tag.CERTIFICATE_TYPE, CertificateType.X_509),
            )
        elif name == "VALIDATE":
            yield Step(
                _OP.VALIDATE,
                certify.ValidateRequest(unique_identifiers=(uid(2),)),
                certify.ValidateResponse(validity_indicator=ValidityIndicator.VALID),
            ).claiming("without a date, Validate means now (KMIP 1.4 §4.24, KMIP 2.1 §6.1.57)")
        else:
            yield Step(
                _OP.VALIDATE,
                certify.ValidateRequest(
                    unique_identifiers=(uid(2),), validity_date=datetime(1990, 1, 1, tzinfo=UTC)
                ),
                certify.ValidateResponse(validity_indicator=ValidityIndicator.INVALID),
            ).claiming(
                "a certificate is not valid before its time (KMIP 1.4 §4.24, KMIP 2.1 §6.1.57)"
            )

    return steps


def re_certify() -> Step:
    """Renew the certificate 2."""
    return Step(
        _OP.RE_CERTIFY,
        certify.ReCertifyRequest(unique_identifier=uid(2)),
        certify.ReCertifyResponse(unique_identifier=uid(3)),
    )


def _re_certified(name: str) -> Any:
    def steps(version: Version) -> Iterator[Step]:
        del version
        yield from certified()
        yield re_certify()
        if name == "OLD-LINK":
            yield has(
                2,
                f"the old certificate has a Link to the new one ({_RE_CERTIFY})",
                link_to(LinkType.REPLACEMENT_OBJECT_LINK, 3),
            )
        elif name == "NEW-LINK":
            yield has(
                3,
                f"the new certificate has a Link to the old one ({_RE_CERTIFY})",
                link_to(LinkType.REPLACED_OBJECT_LINK, 2),
            )
        elif name == "KEY-LINK":
            yield has(
                1,
                f"the Link of the public key changes to the new certificate ({_RE_CERTIFY})",
                link_to(LinkType.CERTIFICATE_LINK, 3),
            )
        else:
            yield has(
                3,
                f"the new certificate has the type of the old one ({_RE_CERTIFY})",
                (Tag.CERTIFICATE_TYPE, CertificateType.X_509),
            )

    return steps


def _certify_wrong(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    how = Refused(
        (R.PERMISSION_DENIED, R.INVALID_FIELD),
        (
            R.INVALID_OBJECT_TYPE,
            R.ILLEGAL_OBJECT_TYPE,
            R.PERMISSION_DENIED,
            R.INVALID_FIELD,
            R.INVALID_CSR,
        ),
    )
    yield Step(
        _OP.CERTIFY,
        certify.CertifyRequest(
            unique_identifier=uid(0),
            attributes=Attributes.of((Tag.CERTIFICATE_TYPE, CertificateType.X_509)),
        ),
        how,
    ).claiming(f"only a public key can be certified ({_CERTIFY}; KMIP 1.4 §11.8)")


# --- split keys ------------------------------------------------------------------------------------


def split_in_parts(version: Version, parts: int = 3, threshold: int = 2) -> Step:
    del version
    return Step(
        _OP.CREATE_SPLIT_KEY,
        create.CreateSplitKeyRequest(
            object_type=ObjectType.SPLIT_KEY,
            unique_identifier=uid(0),
            split_key_parts=parts,
            split_key_threshold=threshold,
            split_key_method=SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_16,
            attributes=Attributes(),
        ),
        create.CreateSplitKeyResponse(unique_identifiers=tuple(map(uid, range(1, parts + 1)))),
    )


def join_parts(*parts: int) -> Step:
    return Step(
        _OP.JOIN_SPLIT_KEY,
        create.JoinSplitKeyRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifiers=tuple(map(uid, parts)),
            attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT)),
        ),
        create.JoinSplitKeyResponse(unique_identifier=uid(9)),
    )


def _split_case(name: str) -> Any:
    def steps(version: Version) -> Iterator[Step]:
        yield create_key()
        yield split_in_parts(version).needing("Polynomial Sharing GF(2^16)")
        if name == "ENOUGH":
            yield join_parts(2, 3).claiming(
                f"as many parts as the threshold yield the key ({_JOIN})"
            )
        elif name == "TOO-FEW":
            how = Refused(
                (R.CRYPTOGRAPHIC_FAILURE,),
                (R.CRYPTOGRAPHIC_FAILURE, R.INVALID_FIELD, R.BAD_CRYPTOGRAPHIC_PARAMETERS),
            )
            yield join_parts(2).refused(
                how, f"fewer parts than the threshold are refused ({_JOIN}; KMIP 1.4 §11.40)"
            )
        else:
            yield has(
                1,
                f"a part is an object of the type Split Key ({_SPLIT})",
                (Tag.OBJECT_TYPE, ObjectType.SPLIT_KEY),
            )

    return steps


def _split_threshold(version: Version) -> Iterator[Step]:
    yield create_key()
    how = Refused(
        (R.INVALID_FIELD, R.CRYPTOGRAPHIC_FAILURE),
        (
            R.INVALID_FIELD,
            R.BAD_CRYPTOGRAPHIC_PARAMETERS,
            R.CRYPTOGRAPHIC_FAILURE,
            R.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
        ),
    )
    yield split_in_parts(version, 3, 4).refused(
        how, f"a threshold exceeds not the number of parts ({_SPLIT})"
    )


_ROWS: Mapping[str, tuple[str, Any]] = {
    "PAIR-PRIVATE-LINK": (f"The private key of a pair has a Link ({_PAIR}).", _pair_private_link),
    "PAIR-PUBLIC-LINK": (f"The public key of a pair has a Link ({_PAIR}).", _pair_public_link),
    "PAIR-UNION": (f"Common and own instances of an attribute ({_PAIR}).", _pair_union),
    "PAIR-OWN-FIRST": (f"Own values before common ones ({_PAIR}).", _pair_own_first),
    "PAIR-SAME": (f"What both keys of a pair have in common ({_PAIR}).", _pair_same),
    **{
        f"RE-KEY-{name}": (f"{text} ({_RE_KEY}).", _re_key_case(name))
        for name, text in (
            ("OLD-LINK", "The Link of a key that is replaced"),
            ("NEW-LINK", "The Link of a replacement"),
            ("NAME", "The Name moves to the replacement"),
            ("COPY", "What a replacement has of the old key"),
        )
    },
    "RE-KEY-TWICE": ("A key has one replacement (KMIP 1.4 §3.35, KMIP 2.1 §11.28).", _re_key_case("TWICE")),
    "RE-KEY-OFFSET": (f"Re-key with an Offset ({_RE_KEY}).", _re_key_offset),
    "RE-KEY-PAIR-OFFSET": (f"Re-key Key Pair with an Offset ({_RE_KEY_PAIR}).", _re_key_pair_offset),
    "RE-KEY-OFFSET-DATE": (f"Re-key with an Offset and a date ({_RE_KEY}).", _re_key_offset_and_date),
    "RE-KEY-TYPE": (f"Re-key of something else ({_RE_KEY}).", _re_key_wrong_type),
    **{
        f"RE-KEY-PAIR-{name}": (f"{text} ({_RE_KEY_PAIR}).", _re_key_pair(name))
        for name, text in (
            ("OLD-LINKS", "The Links of a pair that is replaced"),
            ("NEW-LINKS", "The Links of a replacement pair to the old one"),
            ("LINKS", "The Links of a replacement pair between its keys"),
        )
    },
    **{
        f"CERTIFY-{name}": (f"{text} ({_CERTIFY}).", _certificate(name))
        for name, text in (
            ("KEY-LINK", "The Link of a certified key"),
            ("LINK", "The Link of a certificate"),
            ("ATTRIBUTES", "What a new certificate has"),
        )
    },
    "VALIDATE-NOW": ("Validate without a date (KMIP 1.4 §4.24, KMIP 2.1 §6.1.57).", _certificate("VALIDATE")),
    "VALIDATE-DATE": ("Validate at another date (KMIP 1.4 §4.24, KMIP 2.1 §6.1.57).", _certificate("BEFORE")),
    "CERTIFY-TYPE": (f"Certify of something else ({_CERTIFY}).", _certify_wrong),
    **{
        f"RE-CERTIFY-{name}": (f"{text} ({_RE_CERTIFY}).", _re_certified(name))
        for name, text in (
            ("OLD-LINK", "The Link of a certificate that is replaced"),
            ("NEW-LINK", "The Link of a new certificate"),
            ("KEY-LINK", "The Link of the key of a new certificate"),
            ("TYPE", "The type of a new certificate"),
        )
    },
    "SPLIT-ENOUGH": (f"Join Split Key with enough parts ({_JOIN}).", _split_case("ENOUGH")),
    "SPLIT-TOO-FEW": (f"Join Split Key with too few parts ({_JOIN}).", _split_case("TOO-FEW")),
    "SPLIT-TYPE": (f"The parts of a key ({_SPLIT}).", _split_case("TYPE")),
    "SPLIT-THRESHOLD": (f"A threshold that cannot be ({_SPLIT}).", _split_threshold),
}  # fmt: skip

CASES = tuple(rule(name, about, steps) for name, (about, steps) in _ROWS.items())
