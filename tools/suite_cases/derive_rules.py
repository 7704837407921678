"""Cases of Derive Key (KMIP 1.4 §4.6, KMIP 2.1 §6.1.14)."""

from collections.abc import Callable, Iterator
from typing import Any

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads import rekey
from kmipkit.model.payloads.rekey import DerivationParameters
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    LinkType,
    ObjectType,
    Operation,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from suite_cases.building import (
    UNKNOWN_OBJECT,
    WRONG_STATE,
    R,
    Refused,
    create_key,
    rule,
    simple,
)
from suite_cases.key_rules import has, link_to
from suite_cases.steps import Case, Step, uid

_OP = Operation
_Mask = CryptographicUsageMask
_DERIVE = "KMIP 1.4 §4.6, KMIP 2.1 §6.1.14"


_HASH = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)


def derive(
    method: DerivationMethod = DerivationMethod.HASH,
    bits: int | None = 128,
    algorithm: CryptographicAlgorithm | None = CryptographicAlgorithm.AES,
    bases: tuple[int, ...] = (0,),
    new: int = 1,
    parameters: DerivationParameters | None = None,
) -> Step:
    """Derive a key from the key 0."""
    given = ((Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm), (Tag.CRYPTOGRAPHIC_LENGTH, bits))
    return Step(
        _OP.DERIVE_KEY,
        rekey.DeriveKeyRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifiers=tuple(map(uid, bases)),
            derivation_method=method,
            derivation_parameters=parameters
            or DerivationParameters(cryptographic_parameters=_HASH, derivation_data=(b"data",)),
            attributes=Attributes.of(
                *(row for row in given if row[1] is not None),
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT),
            ),
        ),
        rekey.DeriveKeyResponse(unique_identifier=uid(new)),
    )


_HASH_FEATURE = "the Derivation Method Hash"
_NOT_DERIVED = Refused(
    (R.INVALID_FIELD, R.INVALID_MESSAGE),
    (
        *(R.INVALID_FIELD, R.INVALID_MESSAGE, R.MISSING_DATA, R.INVALID_ATTRIBUTE),
        *(R.INVALID_ATTRIBUTE_VALUE, R.CRYPTOGRAPHIC_FAILURE, R.BAD_CRYPTOGRAPHIC_PARAMETERS),
    ),
)


def _derivation(*after: Step, mask: CryptographicUsageMask = _Mask.DERIVE_KEY) -> Any:
    def steps(version: Version) -> Iterator[Step]:
        del version
        yield create_key(mask=mask)
        yield simple(_OP.ACTIVATE)
        yield from after

    return steps


def _derivations() -> Iterator[Case]:
    derived = derive().needing(_HASH_FEATURE)
    too_long = Refused(
        (R.CRYPTOGRAPHIC_FAILURE, R.INVALID_FIELD),
        (
            R.CRYPTOGRAPHIC_FAILURE,
            R.INVALID_FIELD,
            R.INVALID_ATTRIBUTE_VALUE,
            R.BAD_CRYPTOGRAPHIC_PARAMETERS,
        ),
    )
    no_use = Refused(
        (R.INVALID_FIELD, R.PERMISSION_DENIED),
        (R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK, R.INVALID_FIELD, R.PERMISSION_DENIED),
    )
    rows: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
        ("NO-MASK", "a key without the usage Derive Key derives nothing",
         lambda text: _derivation(derive().refused(no_use, text), mask=_Mask.ENCRYPT)),
        ("NO-LENGTH", "a derivation has the length of the derived key",
         lambda text: _derivation(derived, derive(bits=None, new=2).refused(_NOT_DERIVED, text))),
        ("NO-ALGORITHM", "the derivation of a key has its algorithm",
         lambda text: _derivation(derived, derive(algorithm=None, new=2).refused(_NOT_DERIVED, text))),
        ("TOO-LONG", "a key that is longer than the output of the method is refused",
         lambda text: _derivation(derived, derive(bits=256, new=2), derive(bits=512, new=3, algorithm=CryptographicAlgorithm.HMAC_SHA512).refused(too_long, text))),
        ("BASE-LINK", "the base key has a Link to the derived key",
         lambda text: _derivation(derived, has(0, text, link_to(LinkType.DERIVED_KEY_LINK, 1)))),
        ("DERIVED-LINK", "the derived key has a Link to the base key",
         lambda text: _derivation(derived, has(1, text, link_to(LinkType.DERIVATION_BASE_OBJECT_LINK, 0)))),
        ("NEW-OBJECT", "the derived key is a new object with the attributes of the request",
         lambda text: _derivation(derived, has(1, text, (Tag.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY), (Tag.CRYPTOGRAPHIC_LENGTH, 128), (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT)))),
    )  # fmt: skip
    for name, about, steps in rows:
        text = f"{about} ({_DERIVE}; KMIP 1.4 §11.7)"
        yield rule(f"DERIVE-{name}", f"{about[0].upper()}{about[1:]} ({_DERIVE}).", steps(text))
    yield rule(
        "DERIVE-PRE-ACTIVE",
        "A key that is not active derives nothing (KMIP 1.4 §3.22, KMIP 2.1 §4.57).",
        _derive_pre_active,
    )
    yield rule(
        "DERIVE-ABSENT",
        f"A base key that does not exist ({_DERIVE}; KMIP 1.4 §11.7).",
        _derive_absent,
    )


def _derive_pre_active(version: Version) -> Iterator[Step]:
    del version
    yield create_key(mask=_Mask.DERIVE_KEY)
    how = Refused((*WRONG_STATE.old, R.INVALID_FIELD), WRONG_STATE.new)
    yield derive().refused(
        how, "a Pre-Active key is used for no derivation (KMIP 1.4 §3.22, KMIP 2.1 §4.57)"
    )


def _derive_absent(version: Version) -> Iterator[Step]:
    del version
    request = derive().request
    changed = request.replace(unique_identifiers=("KIT-no-such-object",))  # type: ignore[union-attr]  # a structure
    yield Step(
        _OP.DERIVE_KEY,
        changed,
        UNKNOWN_OBJECT,
        claim=f"the base key must exist ({_DERIVE}; KMIP 1.4 §11.7)",
    )


CASES = tuple(_derivations())
