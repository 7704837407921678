"""Rules about what requests say: attributes that must or must not be there, dates, lengths."""

import re
from collections.abc import Iterable

from kmipkit.spec.attribute_spec import AttributeSpec
from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enums import ObjectType, Operation, RevocationReasonCode
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V1_3, V1_4, V2_0
from kmipkit_conformance.clients.attribute_views import Given, given, has_template, referred
from kmipkit_conformance.clients.observed import Act, find
from kmipkit_conformance.clients.rule import Level, Problems, Rule, each_act

_OP = Operation
CREATING = frozenset(
    {
        _OP.CREATE,
        _OP.CREATE_KEY_PAIR,
        _OP.REGISTER,
        _OP.DERIVE_KEY,
        _OP.CERTIFY,
        _OP.RE_KEY,
        _OP.RE_KEY_KEY_PAIR,
        _OP.RE_CERTIFY,
        _OP.IMPORT,
        _OP.CREATE_SPLIT_KEY,
        _OP.JOIN_SPLIT_KEY,
    }
)
"""Operations that make objects."""
_ADDING = frozenset({_OP.ADD_ATTRIBUTE})
_MODIFYING = frozenset({_OP.MODIFY_ATTRIBUTE, _OP.SET_ATTRIBUTE, _OP.ADJUST_ATTRIBUTE})
_DELETING = frozenset({_OP.DELETE_ATTRIBUTE})
_GIVING = CREATING | _ADDING | _MODIFYING
_COMPROMISES = frozenset({RevocationReasonCode.KEY_COMPROMISE, RevocationReasonCode.CA_COMPROMISE})
_VENDOR = re.compile(r"[A-Za-z0-9_.]+")


def _missing(names: Iterable[str], attributes: Iterable[Given]) -> list[str]:
    there = {attribute.name for attribute in attributes}
    return [f"{name} is missing" for name in names if name not in there]


def _create(act: Act) -> Problems:
    if has_template(act) or act.get(Tag.OBJECT_TYPE) != ObjectType.SYMMETRIC_KEY:
        return None
    return _missing(("Cryptographic Algorithm", "Cryptographic Usage Mask"), given(act))


def _create_pair(act: Act) -> Problems:
    if has_template(act):
        return None
    attributes, problems = given(act), []
    for side, own in (
        ("Private Key", Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE),
        ("Public Key", Tag.PUBLIC_KEY_TEMPLATE_ATTRIBUTE),
    ):
        of_side = [
            each for each in attributes if each.container in (own, Tag.COMMON_TEMPLATE_ATTRIBUTE)
        ]
        names = ("Cryptographic Algorithm", "Cryptographic Usage Mask")
        problems += [f"{side}: {text}" for text in _missing(names, of_side)]
    return problems


_WITHOUT_KEY = frozenset({ObjectType.OPAQUE_OBJECT, ObjectType.TEMPLATE})


_KEYS = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY})


def _register(act: Act) -> Problems:
    if act.get(Tag.OBJECT_TYPE) not in _KEYS or has_template(act):
        return None
    return _missing(("Cryptographic Usage Mask",), given(act))


def _register_other(act: Act) -> Problems:
    if act.get(Tag.OBJECT_TYPE) in _KEYS | _WITHOUT_KEY or has_template(act):
        return None
    return _missing(("Cryptographic Usage Mask",), given(act))


def _algorithm_and_length(act: Act) -> Problems:
    kind = act.get(Tag.OBJECT_TYPE)
    if kind in _WITHOUT_KEY or kind in (ObjectType.SECRET_DATA, ObjectType.CERTIFICATE):
        return None
    names = {"Cryptographic Algorithm", "Cryptographic Length"}
    there = names & {attribute.name for attribute in given(act)}
    if not there or has_template(act):
        return None
    return [f"{there.pop()} without {(names - there).pop()}"] if len(there) == 1 else []


def _key_value_present(act: Act) -> Problems:
    names = {attribute.name for attribute in given(act)}
    return ["Key Value Present is specified"] if "Key Value Present" in names else []


def _custom_attributes(act: Act) -> Problems:
    version = act.exchange.version
    assert version is not None
    problems, is_occasion = [], False
    for attribute in given(act):
        if version < V2_0 and attribute.spec is None:
            is_occasion = True
            if not attribute.name.startswith("x-"):
                problems.append(f"the attribute {attribute.name!r} is not of the standard or 'x-'")
        elif attribute.vendor is not None:
            is_occasion = True
            if attribute.vendor == "y":
                problems.append(f"Vendor Identification 'y' with the attribute {attribute.name!r}")
            elif not _VENDOR.fullmatch(attribute.vendor):
                problems.append(f"Vendor Identification {attribute.vendor!r} has other characters")
    return problems if is_occasion else None


def _changed(act: Act) -> list[tuple[AttributeSpec, str, bool]]:
    """The standard's attributes that a request changes: what it does, and whether it may."""
    version = act.exchange.version
    assert version is not None
    names = [*(each.name for each in given(act) if each.spec), *referred(act)]
    changes = []
    for name in dict.fromkeys(names):
        rules = BY_NAME[name].rules(version)
        for operations, verb, may in (
            (_ADDING, "add", rules.set_by_client),
            (_MODIFYING, "modify", rules.modifiable_by_client),
            (_DELETING, "delete", rules.deletable_by_client),
        ):
            if act.operation in operations:
                changes.append((BY_NAME[name], verb, may))
    return changes


def _read_only(act: Act) -> Problems:
    changes = _changed(act)
    if not changes:
        return None
    return [f"clients do not {verb} {spec.name}" for spec, verb, may in changes if not may]


_STANDARD = frozenset(name.replace(" ", "").lower() for name in BY_NAME)


def _said_twice(act: Act) -> Problems:
    own = [attribute.name for attribute in given(act) if attribute.spec is None]
    if not own:
        return None
    plain = {
        name: name.removeprefix("x-").replace(" ", "").replace("-", "").lower() for name in own
    }
    return [
        f"the attribute {name!r} repeats one of the standard"
        for name, folded in plain.items()
        if folded in _STANDARD
    ]


def _no_templates(act: Act) -> Problems:
    return ["attributes by the Name of a Template"] if has_template(act) else []


def _occurrence_date(act: Act) -> Problems:
    if find(act.payload, Tag.COMPROMISE_OCCURRENCE_DATE) is None:
        return None
    reason = act.get(Tag.REVOCATION_REASON, Tag.REVOCATION_REASON_CODE)
    return [] if reason in _COMPROMISES else ["Compromise Occurrence Date without a compromise"]


def _has_occurrence_date(act: Act) -> Problems:
    version = act.exchange.version
    reason = act.get(Tag.REVOCATION_REASON, Tag.REVOCATION_REASON_CODE)
    # KMIP 1.2 §4.20 has the key compromise only, before that "compromised"; later versions have both.
    is_older = version is not None and version < V1_3
    demanding = {RevocationReasonCode.KEY_COMPROMISE} if is_older else _COMPROMISES
    if reason not in demanding:
        return None
    is_there = find(act.payload, Tag.COMPROMISE_OCCURRENCE_DATE) is not None
    return [] if is_there else ["a compromise without Compromise Occurrence Date"]


def _derived_length(act: Act) -> Problems:
    if has_template(act):
        return None
    is_key = act.get(Tag.OBJECT_TYPE) == ObjectType.SYMMETRIC_KEY
    names = ("Cryptographic Length", *(("Cryptographic Algorithm",) if is_key else ()))
    return _missing(names, given(act))


CONTENT_RULES = (
    Rule(
        key="create-attributes",
        clause="KMIP 1.4 §4.1 Table 165",
        says="Create of a key has Cryptographic Algorithm and Cryptographic Usage Mask.",
        how="each Create of a symmetric key in 1.x that names no Template",
        judge=each_act(_create, (_OP.CREATE,), until=V1_4),
    ),
    Rule(
        key="create-pair-attributes",
        clause="KMIP 1.4 §4.2 Table 168",
        says="Create Key Pair has Cryptographic Algorithm and Cryptographic Usage Mask for both keys.",
        how="each Create Key Pair of 1.x that names no Template",
        judge=each_act(_create_pair, (_OP.CREATE_KEY_PAIR,), until=V1_4),
    ),
    Rule(
        key="register-usage-mask",
        clause="KMIP 1.4 §4.3 Table 171, KMIP 2.1 §6.1.43 Table 293",
        says="Register of a key has a Cryptographic Usage Mask.",
        how="each Register of a symmetric, private or public key",
        judge=each_act(_register, (_OP.REGISTER,)),
    ),
    Rule(
        key="register-usage-mask-of-others",
        level=Level.ADVICE,  # the tables say SHALL; mandatory cases such as SASED-M-2 do without
        clause="KMIP 1.4 §4.3 Table 171, KMIP 2.1 §6.1.43 Table 293",
        says="Register of Secret Data, a certificate or part of a key has a Cryptographic Usage Mask.",
        how="each Register of another cryptographic object",
        judge=each_act(_register_other, (_OP.REGISTER,)),
    ),
    Rule(
        key="register-algorithm-and-length",
        clause="KMIP 1.4 §4.3 Table 171, KMIP 2.1 §6.1.43 Table 293",
        says="Register has Cryptographic Algorithm and Cryptographic Length both, or neither.",
        how="each Register of a key that has one of these attributes",
        judge=each_act(_algorithm_and_length, (_OP.REGISTER,)),
    ),
    Rule(
        key="key-value-present",
        clause="KMIP 1.4 §3.41, KMIP 2.1 §4.28",
        says="Register does not specify Key Value Present.",
        how="each Register",
        judge=each_act(_key_value_present, (_OP.REGISTER,), since=V1_2),
    ),
    Rule(
        key="derived-length",
        clause="KMIP 1.4 §4.6, KMIP 2.1 §6.1.14",
        says="Derive Key specifies Cryptographic Length, and for a key Cryptographic Algorithm.",
        how="each Derive Key",
        judge=each_act(_derived_length, (_OP.DERIVE_KEY,)),
    ),
    Rule(
        key="custom-attributes",
        clause="KMIP 1.4 §3.39, KMIP 2.1 §4.60",
        says="The name of a client's own attribute begins with 'x-' (1.x); its Vendor Identification has"
        " letters, digits, '_' and '.', and is not 'y' (2.x).",
        how="attributes that requests give to objects",
        judge=each_act(_custom_attributes, _GIVING),
    ),
    Rule(
        key="read-only-attributes",
        clause="KMIP 1.4 §3 (the rules of each attribute), KMIP 2.1 §4",
        says="A client does not add, modify or delete attributes which only the server changes.",
        how="Add, Modify, Set, Adjust and Delete Attribute",
        judge=each_act(_read_only, _ADDING | _MODIFYING | _DELETING),
    ),
    Rule(
        key="standard-attributes-once",
        level=Level.ADVICE,
        clause="Profiles 2.1 §5.11.1 and §5.12.4 (SHOULD NOT, for storage arrays and tape libraries)",
        says="A client's own attribute does not say what an attribute of the standard says.",
        how="attributes that requests give to objects",
        judge=each_act(_said_twice, _GIVING),
    ),
    Rule(
        key="no-templates",
        level=Level.SHOULD,
        clause="KMIP 1.4 §4",
        says="A client gives attributes one by one, and not by the Name of a Template, from 1.3 on.",
        how="requests of 1.3 and 1.4 that make objects",
        judge=each_act(_no_templates, CREATING, since=V1_3, until=V1_4),
    ),
    Rule(
        key="occurrence-date-of-compromise-only",
        clause="KMIP 1.4 §4.20, KMIP 2.1 §6.1.44",
        says="Revoke has a Compromise Occurrence Date for a compromise only.",
        how="each Revoke with this date, from 1.4 on",
        judge=each_act(_occurrence_date, (_OP.REVOKE,), since=V1_4),
    ),
    Rule(
        key="occurrence-date",
        clause="KMIP 1.0 §4.19, KMIP 1.1 and 1.2 §4.20",
        says="Revoke because of a key compromise has a Compromise Occurrence Date, up to 1.2.",
        how="each Revoke for a key compromise, up to 1.2",
        judge=each_act(_has_occurrence_date, (_OP.REVOKE,), until=V1_2),
    ),
    Rule(
        key="occurrence-date-later",
        level=Level.SHOULD,
        clause="KMIP 1.4 §4.20, KMIP 2.1 §6.1.44",
        says="Revoke because of a compromise has a Compromise Occurrence Date, from 1.3 on.",
        how="each Revoke for a compromise, from 1.3 on",
        judge=each_act(_has_occurrence_date, (_OP.REVOKE,), since=V1_3),
    ),
)
