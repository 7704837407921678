"""Cases of the ID Placeholder (KMIP 1.4 §4, KMIP 2.1 §6.1)."""

from collections.abc import Iterator

from kmipkit.model.attribute import Attributes
from kmipkit.model.payloads import attributes as payloads
from kmipkit.model.payloads import crypto, get, lifecycle, locate, rekey
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    ObjectType,
    Operation,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit.ttlv.tree import Item
from suite_cases.attribute_values import PAST
from suite_cases.building import (
    Batch,
    Refused,
    create_key,
    fixed,
    read,
    rule,
    simple,
    title_of,
)
from suite_cases.message_rules import looked
from suite_cases.objects import register
from suite_cases.state_rules import decrypt, encrypt, mac
from suite_cases.steps import Case, Step, create_pair, register_key, uid

_OP = Operation
_PLACEHOLDER = "KMIP 1.4 §4, KMIP 2.1 §6.1"


_NO_PLACEHOLDER = Refused(whole=True)
"""No clause has a Result Reason for an empty ID Placeholder (KMIP 1.4 §4, §11.20: only for an identifier
that does not exist)."""


def type_of(object_type: ObjectType, answered: int) -> Step:
    """Read the Object Type of the object of the ID Placeholder."""
    return Step(
        _OP.GET_ATTRIBUTES,
        payloads.GetAttributesRequest(attribute_references=(Tag.OBJECT_TYPE,)),
        payloads.GetAttributesResponse(
            unique_identifier=uid(answered),
            attributes=Attributes.of((Tag.OBJECT_TYPE, object_type)),
        ),
    )


def _derive(base: int, new: int) -> Step:
    return Step(
        _OP.DERIVE_KEY,
        rekey.DeriveKeyRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifiers=(uid(base),),
            derivation_method=DerivationMethod.PBKDF2,
            derivation_parameters=rekey.DerivationParameters(salt=b"salt", iteration_count=10),
            attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
                (Tag.CRYPTOGRAPHIC_LENGTH, 128),
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT),
            ),
        ),
        rekey.DeriveKeyResponse(unique_identifier=uid(new)),
    )


_SIGN, _VERIFY = CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY
ORDERED = {"batch_order_option": True}
_KEY, _PRIVATE = ObjectType.SYMMETRIC_KEY, ObjectType.PRIVATE_KEY

_SETTERS: tuple[tuple[str, str, tuple[Step, ...], Step, ObjectType, int], ...] = (
    ("CREATE", "KMIP 1.4 §4.1, KMIP 2.1 §6.1.8", (), create_key(), _KEY, 0),
    ("REGISTER", "KMIP 1.4 §4.3, KMIP 2.1 §6.1.43", (), register(_KEY), _KEY, 0),
    (
        "CREATE-KEY-PAIR",
        "KMIP 1.4 §4.2, KMIP 2.1 §6.1.9",
        (),
        create_pair(_SIGN, _VERIFY),
        _PRIVATE,
        0,
    ),
    (
        "RE-KEY",
        "KMIP 1.4 §4.4, KMIP 2.1 §6.1.46",
        (create_key(), simple(_OP.ACTIVATE)),
        Step(
            _OP.RE_KEY,
            rekey.ReKeyRequest(unique_identifier=uid(0)),
            rekey.ReKeyResponse(unique_identifier=uid(1)),
        ),
        _KEY,
        1,
    ),
    (
        "RE-KEY-KEY-PAIR",
        "KMIP 1.4 §4.5, KMIP 2.1 §6.1.47",
        (create_pair(_SIGN, _VERIFY), simple(_OP.ACTIVATE)),
        Step(
            _OP.RE_KEY_KEY_PAIR,
            rekey.ReKeyKeyPairRequest(private_key_unique_identifier=uid(0)),
            rekey.ReKeyKeyPairResponse(
                private_key_unique_identifier=uid(2), public_key_unique_identifier=uid(3)
            ),
        ),
        _PRIVATE,
        2,
    ),
    (
        "DERIVE-KEY",
        "KMIP 1.4 §4.6, KMIP 2.1 §6.1.14",
        (register(ObjectType.SECRET_DATA), simple(_OP.ACTIVATE)),
        _derive(0, 1),
        _KEY,
        1,
    ),
)


def _setters() -> Iterator[Case]:
    """Operations that set the ID Placeholder to their new object."""
    for name, clause, before, step, object_type, number in _SETTERS:
        claim = f"the new object is that of the ID Placeholder ({clause}; {_PLACEHOLDER})"

        feature = _FEATURES.get(step.operation, step.optional)
        batch = Batch((step, type_of(object_type, number)), claim, ORDERED, optional=feature)
        yield rule(
            f"PLACEHOLDER-{name}",
            f"{title_of(name)} sets the ID Placeholder ({clause}).",
            fixed(*before, batch),
        )


_FEATURES = {_OP.DERIVE_KEY: "PBKDF2", _OP.CREATE_SPLIT_KEY: "Polynomial Sharing GF(2^16)"}


def _group(version: Version, name: str) -> str:
    return f"KIT-{name}-{version}"


def _located(group: str, *numbers: int, maximum: int | None = None) -> Step:
    return Step(
        _OP.LOCATE,
        locate.LocateRequest(
            maximum_items=maximum, attributes=Attributes.of((Tag.OBJECT_GROUP, group))
        ),
        locate.LocateResponse(unique_identifiers=tuple(map(uid, numbers))),
    )


def _placeholder_locate(version: Version) -> Iterator[Step | Batch]:
    group = _group(version, "PLACEHOLDER-LOCATE")
    yield create_key(0, (Tag.OBJECT_GROUP, group))
    claim = "a single object that Locate finds is that of the ID Placeholder (KMIP 1.4 §4.9, KMIP 2.1 §6.1.28)"
    yield Batch((_located(group, 0), type_of(_KEY, 0)), claim, ORDERED)


def _placeholder_many(version: Version) -> Iterator[Step | Batch]:
    group = _group(version, "PLACEHOLDER-MANY")
    yield create_key(0, (Tag.OBJECT_GROUP, group))
    yield create_key(1, (Tag.OBJECT_GROUP, group))
    claim = "several objects that Locate finds empty the ID Placeholder (KMIP 1.4 §4.9, KMIP 2.1 §6.1.28)"
    refused = simple(_OP.ACTIVATE, None).refused(_NO_PLACEHOLDER)
    yield Batch((_located(group, 0, 1), refused), claim, ORDERED)
    yield looked(State.PRE_ACTIVE, claim)
    yield read(Tag.STATE, found=[(Tag.STATE, State.PRE_ACTIVE)], number=1).claiming(claim)


def _placeholder_replaced(version: Version) -> Iterator[Step | Batch]:
    del version
    claim = f"a later operation replaces the ID Placeholder ({_PLACEHOLDER})"
    yield Batch((create_key(0), create_key(1), type_of(_KEY, 1)), claim, ORDERED)


def _placeholder_end(version: Version) -> Iterator[Step | Batch]:
    del version
    yield Batch((create_key(0), type_of(_KEY, 0)), "", ORDERED)
    claim = f"the ID Placeholder ends with the batch ({_PLACEHOLDER})"
    yield simple(_OP.ACTIVATE, None).refused(_NO_PLACEHOLDER, claim)
    yield looked(State.PRE_ACTIVE, claim)


_WITHOUT: tuple[tuple[str, Step], ...] = (
    ("GET", Step(_OP.GET, get.GetRequest(), _NO_PLACEHOLDER)),
    ("GET-ATTRIBUTES", Step(_OP.GET_ATTRIBUTES, payloads.GetAttributesRequest(), _NO_PLACEHOLDER)),
    (
        "GET-ATTRIBUTE-LIST",
        Step(_OP.GET_ATTRIBUTE_LIST, payloads.GetAttributeListRequest(), _NO_PLACEHOLDER),
    ),
    ("ACTIVATE", Step(_OP.ACTIVATE, lifecycle.ActivateRequest(), _NO_PLACEHOLDER)),
    ("DESTROY", Step(_OP.DESTROY, lifecycle.DestroyRequest(), _NO_PLACEHOLDER)),
    ("ARCHIVE", Step(_OP.ARCHIVE, lifecycle.ArchiveRequest(), _NO_PLACEHOLDER)),
    ("RECOVER", Step(_OP.RECOVER, lifecycle.RecoverRequest(), _NO_PLACEHOLDER)),
    ("OBTAIN-LEASE", Step(_OP.OBTAIN_LEASE, lifecycle.ObtainLeaseRequest(), _NO_PLACEHOLDER)),
    ("CHECK", Step(_OP.CHECK, lifecycle.CheckRequest(), _NO_PLACEHOLDER)),
    ("RE-KEY", Step(_OP.RE_KEY, rekey.ReKeyRequest(), _NO_PLACEHOLDER)),
    ("ENCRYPT", Step(_OP.ENCRYPT, crypto.EncryptRequest(data=b"x"), _NO_PLACEHOLDER)),
    ("MAC", Step(_OP.MAC, crypto.MACRequest(data=b"x"), _NO_PLACEHOLDER)),
    ("SIGN", Step(_OP.SIGN, crypto.SignRequest(data=b"x"), _NO_PLACEHOLDER)),
)


def _without_placeholder() -> Iterator[Case]:
    for name, step in _WITHOUT:
        claim = (
            f"without a Unique Identifier and an ID Placeholder there is no object ({_PLACEHOLDER})"
        )
        yield rule(
            f"PLACEHOLDER-NONE-{name}",
            f"{title_of(name)} without a Unique Identifier, when there is no ID Placeholder ({_PLACEHOLDER}).",
            lambda version, step=step, claim=claim: iter((step.claiming(claim),)),  # type: ignore[misc]
        )


def _cryptography() -> Iterator[Case]:
    """Cryptographic operations use the object of the ID Placeholder."""
    cipher_key = register(_KEY, 0, (Tag.ACTIVATION_DATE, PAST))
    mac_key = register_key(
        0, bytes(range(32)), CryptographicUsageMask.MAC_GENERATE, CryptographicAlgorithm.HMAC_SHA256
    )
    mac_request = mac_key.request
    assert not isinstance(mac_request, Item)
    mac_key = Step(
        _OP.REGISTER,
        mac_request.replace(
            attributes=mac_request.attributes.plus(*Attributes.of((Tag.ACTIVATION_DATE, PAST)))  # type: ignore[attr-defined]  # of Register
        ),
        mac_key.response,
    )
    for name, new, use, clause in (
        ("ENCRYPT", cipher_key, encrypt(), "KMIP 1.4 §4.29, KMIP 2.1 §6.1.17"),
        ("DECRYPT", cipher_key, decrypt(), "KMIP 1.4 §4.30, KMIP 2.1 §6.1.11"),
        ("MAC", mac_key, mac(), "KMIP 1.4 §4.33, KMIP 2.1 §6.1.32"),
    ):
        request = use.request
        assert not isinstance(request, Item)
        step = Step(use.operation, request.replace(unique_identifier=None), use.response)
        claim = f"{title_of(name)} without a Unique Identifier uses the object of the ID Placeholder ({clause})"

        past = "an Activation Date that is past, which a server may refuse (KMIP 1.4 §3.22)"
        batch = Batch((new, step), claim, ORDERED, optional=past)
        yield rule(f"PLACEHOLDER-USE-{name}", f"{claim}.", fixed(batch))


_CASES = (
    ("PLACEHOLDER-LOCATE", "Locate of one object sets the ID Placeholder (KMIP 1.4 §4.9, KMIP 2.1 §6.1.28).", _placeholder_locate),
    ("PLACEHOLDER-LOCATE-MANY", "Locate of several objects empties the ID Placeholder (KMIP 1.4 §4.9, KMIP 2.1 §6.1.28).", _placeholder_many),
    ("PLACEHOLDER-REPLACED", f"A second object replaces the ID Placeholder ({_PLACEHOLDER}).", _placeholder_replaced),
    ("PLACEHOLDER-END", f"The ID Placeholder ends with the batch ({_PLACEHOLDER}).", _placeholder_end),
)  # fmt: skip

CASES = (
    *(rule(*row) for row in _CASES),
    *_setters(),
    *_without_placeholder(),
    *_cryptography(),
)
