"""Cases of the tables of rules that each attribute has (KMIP 1.4 §3, KMIP 2.1 §4)."""

from collections.abc import Iterator, Mapping
from typing import Any

from kmipkit.model.attribute import Attribute
from kmipkit.model.payloads.attributes import SetAttributeRequest, SetAttributeResponse
from kmipkit.spec.attribute_spec import AttributeSpec
from kmipkit.spec.attributes import ATTRIBUTES
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    Operation,
    State,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1, Version
from suite_cases.attribute_values import VALUES
from suite_cases.building import (
    READ_ONLY,
    R,
    Refused,
    add,
    create_key,
    delete,
    modify,
    read,
    rule,
)
from suite_cases.clauses import ATTRIBUTE_CLAUSES
from suite_cases.objects import register
from suite_cases.steps import Case, Step, uid

BASELINE = frozenset(
    {
        *("Alternative Name", "Comment", "Cryptographic Parameters", "Description"),
        *("Key Value Location", "Link", "Name", "Object Group", "Activation Date"),
        *("Deactivation Date", "Sensitive", "Extractable"),
    }
)
"""Attributes that each server of 2.1 supports and clients set (Profiles 2.1 §5.1.2, Baseline Server)."""

KNOWN: Mapping[str, Any] = {
    "Object Type": ObjectType.SYMMETRIC_KEY,
    "Cryptographic Algorithm": CryptographicAlgorithm.AES,
    "Cryptographic Length": 128,
    "State": State.PRE_ACTIVE,
    "Certificate Type": CertificateType.X_509,
    "Key Format Type": KeyFormatType.RAW,
    "Unique Identifier": uid(0),
}
"""Values that an object has after it was created or registered here, whatever the server."""

_ALREADY_THERE = Refused(
    (R.ILLEGAL_OPERATION,),
    (
        *(
            R.ATTRIBUTE_SINGLE_VALUED,
            R.ILLEGAL_OPERATION,
            R.INVALID_ATTRIBUTE,
            R.READ_ONLY_ATTRIBUTE,
        ),
        *(R.ATTRIBUTE_READ_ONLY, R.INVALID_FIELD, R.PERMISSION_DENIED, R.INVALID_ATTRIBUTE_VALUE),
    ),
)
"""KMIP 1.4 §11.15; 2.1 has Attribute Single Valued for it."""
_NOT_ADDED = Refused((R.PERMISSION_DENIED, R.ILLEGAL_OPERATION), READ_ONLY.new)
"""KMIP 1.4 §11.15: a read-only attribute, which may exist already."""
_NOT_CHANGED = Refused(
    (R.PERMISSION_DENIED, R.INVALID_FIELD),
    (*READ_ONLY.new, R.ATTRIBUTE_NOT_FOUND, R.INVALID_FIELD, R.INVALID_ATTRIBUTE_VALUE),
)
"""KMIP 1.4 §11.16: read-only, or an attribute that the object does not have."""
_NOT_DELETED = Refused(
    (R.PERMISSION_DENIED, R.ITEM_NOT_FOUND),
    (*READ_ONLY.new, R.ATTRIBUTE_NOT_FOUND, R.ATTRIBUTE_INSTANCE_NOT_FOUND, R.ITEM_NOT_FOUND),
)
"""KMIP 1.4 §11.17, likewise."""


def _object(row: AttributeSpec, version: Version) -> Step:
    """An object that may have the attribute."""
    types = row.object_types(version)
    if "Certificate" in types and "Keys" not in types:
        return register(ObjectType.CERTIFICATE)
    if types.startswith(("Asymmetric", "Public")):
        return register(ObjectType.PUBLIC_KEY)
    if types == "Opaque Objects":
        return register(ObjectType.OPAQUE_OBJECT)
    return create_key()


def _value(row: AttributeSpec, case: str, number: int = 0) -> Any:
    """A value; names are those of the case, so that cases do not disturb each other."""
    value = VALUES[row.name][number]
    if row.name == "Name":
        return value.replace(name_value=value.name_value.replace("$", case))
    return value


def code_of(row: AttributeSpec) -> str:
    """The name in the names of cases."""
    return row.name.upper().replace(" ", "-").replace(".", "").replace("#", "")


def _supported(step: Step, row: AttributeSpec) -> Step:
    """A server need not support an attribute that is not in the Baseline Server profile."""
    if row.name in BASELINE:
        return step
    return step.needing(f"the attribute {row.name} for clients")


def _policy(step: Step) -> Step:
    """The policy of a server may restrict further what clients do (KMIP 1.4 §3, KMIP 2.1 §4)."""
    return step.needing(
        "this change by clients, which the policy of a server may restrict (1.4 §3, 2.1 §4)"
    )


def _then(row: AttributeSpec) -> Iterator[Step]:
    """Look whether a value is still there, if it is known."""
    if row.name in KNOWN and row.tag != Tag.UNIQUE_IDENTIFIER:
        yield read(row.tag, found=[(row.tag, KNOWN[row.name])]).claiming(
            f"{row.name} still has its value after the refusal"
        )


def clauses_of(row: AttributeSpec) -> str:
    found = [
        f"KMIP {version} §{ATTRIBUTE_CLAUSES[row.name][number]}"
        for number, version in enumerate((V1_4, V2_1))
        if ATTRIBUTE_CLAUSES[row.name][number]
    ]
    return ", ".join(found)


def _refusals(row: AttributeSpec, version: Version) -> Mapping[str, tuple[str, Any]]:
    """The cases of what clients may not do, by the suffix of their name."""
    rules = row.rules(version)
    found: dict[str, tuple[str, Any]] = {}
    if not rules.set_by_client:
        found["ADD"] = (
            "clients cannot set it",
            lambda name: [add(row.tag, _value(row, name)).refused(_NOT_ADDED)],
        )
    if not rules.set_by_client and not rules.modifiable_by_client:
        found["MODIFY"] = (
            "clients cannot change it",
            lambda name: [modify(row.tag, _value(row, name)).refused(_NOT_CHANGED)],
        )
    if not rules.deletable_by_client and not rules.set_by_client:
        found["DELETE"] = (
            "clients cannot delete it",
            lambda name: [delete(row.tag, _value(row, name), version).refused(_NOT_DELETED)],
        )
    if not rules.set_by_client and version >= V2_0:
        found["SET"] = (
            "clients cannot set it with Set Attribute",
            lambda name: [_set(row, name).refused(_NOT_CHANGED)],
        )
    return found


def _set(row: AttributeSpec, name: str, number: int = 0) -> Step:
    return Step(
        Operation.SET_ATTRIBUTE,
        SetAttributeRequest(
            unique_identifier=uid(0), attribute=Attribute(row.tag, _value(row, name, number))
        ),
        SetAttributeResponse(unique_identifier=uid(0)),
    )


def _permissions(row: AttributeSpec, version: Version) -> Mapping[str, tuple[str, Any]]:
    """The cases of what clients may do with an attribute that they set."""
    rules = row.rules(version)
    if not rules.set_by_client or row.name in ("Fresh", "Random Number Generator", *_AT_CREATION):
        return {}

    def given(name: str) -> Step:
        return _supported(add(row.tag, _value(row, name)), row)

    def shown(name: str, *numbers: int) -> Step:
        return read(row.tag, found=[(row.tag, _value(row, name, number)) for number in numbers])

    found: dict[str, tuple[str, Any]] = {
        "ADD": ("clients can set it", lambda name: [given(name), shown(name, 0)])
    }
    if len(VALUES[row.name]) < 2:
        return found
    if rules.modifiable_by_client:
        found["MODIFY"] = (
            "clients can change it",
            lambda name: [
                given(name),
                _policy(modify(row.tag, _value(row, name, 1))),
                shown(name, 1),
            ],
        )
    else:
        found["MODIFY"] = (
            "clients cannot change it",
            lambda name: [
                given(name),
                modify(row.tag, _value(row, name, 1)).refused(READ_ONLY),
                shown(name, 0),
            ],
        )
    if rules.deletable_by_client:
        found["DELETE"] = (
            "clients can delete it",
            lambda name: [
                given(name),
                _policy(delete(row.tag, _value(row, name), version)),
                shown(name),
            ],
        )
    else:
        found["DELETE"] = (
            "clients cannot delete it",
            lambda name: [
                given(name),
                delete(row.tag, _value(row, name), version).refused(_NOT_DELETED),
                shown(name, 0),
            ],
        )
    if row.multi_instance:
        found["INSTANCES"] = (
            "an object can have several instances",
            lambda name: [
                given(name),
                _supported(add(row.tag, _value(row, name, 1)), row),
                shown(name, 0, 1),
            ],
        )
    else:
        found["INSTANCES"] = (
            "an object has one instance at most",
            lambda name: [
                given(name),
                add(row.tag, _value(row, name, 1)).refused(_ALREADY_THERE),
                shown(name, 0),
            ],
        )
    return found


_AT_CREATION = (
    "Sensitive",
    "Extractable",
    "Cryptographic Usage Mask",
    "Original Creation Date",
    "NIST Key Type",
)
"""Attributes that have a value from the beginning, or that are set at the creation only."""


def _cases() -> Iterator[Case]:
    """One case for each attribute and rule, in the versions where the rule is that."""
    for row in ATTRIBUTES:
        if row.name not in VALUES or row.name not in ATTRIBUTE_CLAUSES:
            continue
        known = [
            version
            for version in (V1_4, V2_1)
            if (row.known_in(version) and row.until is None)
            or (version == V1_4 and row.known_in(version))
        ]
        found: dict[tuple[str, str], list[Version]] = {}
        for version in known:
            for suffix, (text, _) in {
                **_refusals(row, version),
                **_permissions(row, version),
            }.items():
                found.setdefault((suffix, text), []).append(version)
        for (suffix, text), versions in found.items():
            name = f"ATTR-{code_of(row)}-{suffix}"
            about = f"{row.name}: {text} ({clauses_of(row)})."
            yield rule(name, about, _Steps(row, suffix, name, text), versions)


class _Steps:
    """The steps of a case in a version."""

    def __init__(self, row: AttributeSpec, suffix: str, name: str, text: str) -> None:
        self.row, self.suffix, self.name, self.text = row, suffix, name, text

    def __call__(self, version: Version) -> Iterator[Step]:
        both = {**_refusals(self.row, version), **_permissions(self.row, version)}
        _, make = both[self.suffix]
        yield _object(self.row, version)
        claim = f"{self.row.name}: {self.text} ({clauses_of(self.row)})"
        for step in make(f"{self.name}-{version}"):
            yield step if step.optional else step.claiming(claim)
        yield from _then(self.row) if self.suffix in _refusals(self.row, version) else ()


CASES = tuple(_cases())
