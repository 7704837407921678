"""Cases of requests as such: fields that are required, fields that nobody knows, numbers that nobody
knows, and operations of other versions (KMIP 1.4 §4, §7, §11.1; KMIP 2.1 §6.1, §8)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from kmipkit_conformance.clauses import clause
from kmipkit_conformance.wording import operation_title, tag_title

from kmipkit.spec.enums import (
    Operation,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.operations import BY_OPERATION
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2, V1_3, V1_4, V2_0, V2_1, Version
from kmipkit.ttlv.tree import Item
from suite_cases.building import (
    UNREADABLE,
    UNSUPPORTED,
    Batch,
    R,
    Refused,
    doubled,
    replaced,
    rule,
    with_items,
    without,
)
from suite_cases.samples import SAMPLES
from suite_cases.steps import Case, Step, Steps

_UNKNOWN_TAG = 0x42FF01
_OP = Operation


def _code(text: str) -> str:
    return text.upper().replace(" ", "-").replace("#", "").replace("/", "-")


def _clauses(operation: Operation) -> str:
    versions = [version for version in (V1_4, V2_1) if BY_OPERATION[operation].known_in(version)]
    return ", ".join(filter(None, (clause(operation, version) for version in versions)))


def _lacking(
    operation: Operation, path: tuple[Tag, ...], claim: str, version: Version
) -> Iterator[Step]:
    sample = SAMPLES[operation]
    yield from sample.before()
    yield sample.request(version).edited(without(*path)).refused(UNREADABLE, claim)


def _required() -> Iterator[Case]:
    """A request without a required field is refused."""
    for operation, sample in SAMPLES.items():
        known = [each for each in (V1_4, V2_1) if BY_OPERATION[operation].known_in(each)]
        for paths, versions in (
            (sample.required, known),
            (sample.old, [V1_4]),
            (sample.new, [V2_1]),
        ):
            for path in paths:
                field = tag_title(path[-1])
                title = operation_title(operation)
                about = f"{title} without {field}, which is required ({_clauses(operation)})."
                claim = f"{title} without {field} is refused ({_clauses(operation)})"
                yield rule(
                    f"FIELD-{_code(title)}-{_code(field)}",
                    about,
                    partial(_lacking, operation, path, claim),
                    versions,
                )


_UNKNOWN_FIELD = Refused(
    (R.INVALID_FIELD, R.INVALID_MESSAGE),
    (R.INVALID_FIELD, R.INVALID_MESSAGE, R.UNKNOWN_TAG, R.CODEC_ERROR),
    whole=True,
)
"""KMIP 1.4 §11.1: Invalid Field; a payload that cannot be parsed is an Invalid Message."""
_TWICE = Refused(
    (R.INVALID_MESSAGE,), (R.INVALID_MESSAGE, R.INVALID_FIELD, R.CODEC_ERROR), whole=True
)
"""KMIP 1.4 §11.1: the same field more than once."""


def _with_unknown(operation: Operation, version: Version) -> Iterator[Step]:
    sample = SAMPLES[operation]
    unknown = Item(_UNKNOWN_TAG, ItemType.INTEGER, 1)
    yield from sample.before()
    yield (
        sample.request(version)
        .edited(with_items(unknown))
        .refused(
            _UNKNOWN_FIELD,
            "a field that the version does not have is refused (KMIP 1.4 §11.1, KMIP 2.1 §11.46)",
        )
    )


def _with_double(operation: Operation, tag: Tag, version: Version) -> Iterator[Step]:
    sample = SAMPLES[operation]
    yield from sample.before()
    yield (
        sample.request(version)
        .edited(doubled(tag))
        .refused(
            _TWICE,
            f"{tag_title(tag)} twice is refused (KMIP 1.4 §11.1, KMIP 2.1 §8)",
        )
    )


def _strange_fields() -> Iterator[Case]:
    """Fields that are unknown or repeated."""
    for operation in SAMPLES:
        known = [each for each in (V1_4, V2_1) if BY_OPERATION[operation].known_in(each)]
        title = operation_title(operation)
        yield rule(
            f"FIELD-{_code(title)}-UNKNOWN",
            f"{title} with a field that the version does not have (KMIP 1.4 §11.1, KMIP 2.1 §11.46).",
            partial(_with_unknown, operation),
            known,
        )
    for operation, tag in (
        (_OP.CREATE, Tag.OBJECT_TYPE),
        (_OP.ACTIVATE, Tag.UNIQUE_IDENTIFIER),
        (_OP.DESTROY, Tag.UNIQUE_IDENTIFIER),
        (_OP.GET, Tag.UNIQUE_IDENTIFIER),
        (_OP.REVOKE, Tag.REVOCATION_REASON),
        (_OP.CHECK, Tag.UNIQUE_IDENTIFIER),
    ):
        title = operation_title(operation)
        yield rule(
            f"FIELD-{_code(title)}-TWICE",
            f"{title} with {tag_title(tag)} twice (KMIP 1.4 §11.1, KMIP 2.1 §8).",
            partial(_with_double, operation, tag),
        )


_UNKNOWN_VALUE = Refused(
    (R.INVALID_FIELD, R.INVALID_MESSAGE),
    (
        *(R.INVALID_FIELD, R.INVALID_MESSAGE, R.UNKNOWN_ENUMERATION, R.INVALID_OBJECT_TYPE),
        *(R.INVALID_ATTRIBUTE_VALUE, R.KEY_FORMAT_TYPE_NOT_SUPPORTED, R.FEATURE_NOT_SUPPORTED),
        *(R.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS, R.BAD_CRYPTOGRAPHIC_PARAMETERS),
    ),
    whole=True,
)
_ENUMERATIONS: tuple[tuple[Operation, Tag, tuple[R, ...]], ...] = (
    (_OP.CREATE, Tag.OBJECT_TYPE, ()),
    (_OP.REGISTER, Tag.OBJECT_TYPE, ()),
    (_OP.REGISTER, Tag.KEY_FORMAT_TYPE, (R.KEY_FORMAT_TYPE_NOT_SUPPORTED,)),
    (_OP.REVOKE, Tag.REVOCATION_REASON_CODE, ()),
    (_OP.DERIVE_KEY, Tag.DERIVATION_METHOD, ()),
    (_OP.HASH, Tag.HASHING_ALGORITHM, (R.CRYPTOGRAPHIC_FAILURE, R.FEATURE_NOT_SUPPORTED)),
    (_OP.CREATE_SPLIT_KEY, Tag.SPLIT_KEY_METHOD, ()),
    (_OP.ADJUST_ATTRIBUTE, Tag.ADJUSTMENT_TYPE, (R.INVALID_DATA_TYPE, R.ATTRIBUTE_NOT_FOUND)),
    (_OP.INTEROP, Tag.INTEROP_FUNCTION, ()),
    (_OP.SET_ENDPOINT_ROLE, Tag.ENDPOINT_ROLE, ()),
)
_RESERVED = 0x7FFFFF01


def _unknown_value(
    operation: Operation, tag: Tag, more: tuple[R, ...], version: Version
) -> Iterator[Step]:
    sample = SAMPLES[operation]
    yield from sample.before()
    how = Refused((*_UNKNOWN_VALUE.old, *more), (*_UNKNOWN_VALUE.new, *more), whole=True)
    yield (
        sample.request(version)
        .edited(replaced(tag, _RESERVED))
        .refused(
            how, f"a {tag_title(tag)} that no version has is refused (KMIP 1.4 §11, KMIP 2.1 §11)"
        )
    )


def _enumerations() -> Iterator[Case]:
    """Numbers that the enumerations reserve."""
    for operation, tag, more in _ENUMERATIONS:
        known = [each for each in (V1_4, V2_1) if BY_OPERATION[operation].known_in(each)]
        title = operation_title(operation)
        yield rule(
            f"ENUM-{_code(title)}-{_code(tag_title(tag))}",
            f"{title} with a {tag_title(tag)} that no version has (KMIP 1.4 §9.1.3.2, §11; KMIP 2.1 §11).",
            partial(_unknown_value, operation, tag, more),
            known,
        )


_LATER: Mapping[Version, tuple[Operation, ...]] = {
    V1_0: (_OP.RE_KEY_KEY_PAIR, _OP.DISCOVER_VERSIONS, _OP.ENCRYPT, _OP.HASH, _OP.IMPORT, _OP.LOG),
    V1_1: (
        _OP.ENCRYPT,
        _OP.DECRYPT,
        _OP.SIGN,
        _OP.MAC,
        _OP.RNG_RETRIEVE,
        _OP.HASH,
        _OP.CREATE_SPLIT_KEY,
    ),
    V1_2: (_OP.IMPORT, _OP.EXPORT),
    V1_3: (_OP.IMPORT, _OP.EXPORT, _OP.LOGIN),
    V1_4: (
        *(_OP.LOG, _OP.LOGIN, _OP.LOGOUT, _OP.DELEGATED_LOGIN, _OP.ADJUST_ATTRIBUTE),
        *(_OP.SET_ATTRIBUTE, _OP.SET_ENDPOINT_ROLE, _OP.PKCS_11, _OP.INTEROP, _OP.RE_PROVISION),
        *(_OP.SET_DEFAULTS, _OP.SET_CONSTRAINTS, _OP.GET_CONSTRAINTS, _OP.PING, _OP.PROCESS),
        *(_OP.QUERY_ASYNCHRONOUS_REQUESTS,),
    ),
    V2_0: (
        _OP.PING,
        _OP.RE_PROVISION,
        _OP.SET_DEFAULTS,
        _OP.SET_CONSTRAINTS,
        _OP.GET_CONSTRAINTS,
        _OP.PROCESS,
    ),
    V2_1: (_OP.DEACTIVATE, _OP.OBLITERATE, _OP.CREATE_USER),
}
"""Operations that a version does not have."""
_NO_OPERATION = Refused(
    (R.OPERATION_NOT_SUPPORTED, R.INVALID_MESSAGE, R.INVALID_FIELD),
    (R.OPERATION_NOT_SUPPORTED, R.INVALID_MESSAGE, R.INVALID_FIELD, R.UNKNOWN_ENUMERATION),
    whole=True,
)
"""Operation Not Supported; a server that reads only the version of the message cannot parse it."""


def _empty(operation: Operation, how: Refused, claim: str, version: Version) -> Iterator[Step]:
    del version
    yield Step(operation, Item(Tag.REQUEST_PAYLOAD, ItemType.STRUCTURE, ()), how).claiming(claim)


def _operations() -> Iterator[Case]:
    """Operations of later versions, and operations that no version has."""
    for version, operations in _LATER.items():
        for operation in operations:
            row = BY_OPERATION[operation]
            # Clients ask for versions before one is agreed on, so a server may answer in all (§4.26).
            if row.known_in(version) or operation is _OP.DISCOVER_VERSIONS:
                continue
            title = operation_title(operation)
            claim = (
                f"{title} is not an operation of KMIP {version} (KMIP 1.4 §11.1, KMIP 2.1 §11.36)"
            )
            yield rule(
                f"VERSION-{_code(title)}",
                f"{title} in a version that does not have it (KMIP 1.4 §11.1, KMIP 2.1 §11.36).",
                partial(_empty, operation, _NO_OPERATION, claim),
                (version,),
            )
    for name, number in (("RESERVED", 0x7FFFFF01), ("VENDOR", 0x8FFFFF01)):
        claim = "an operation that the server does not know is refused (KMIP 1.4 §11.1, KMIP 2.1 §11.46)"
        how = replace(UNSUPPORTED, whole=True) if name == "VENDOR" else _NO_OPERATION
        yield rule(
            f"VERSION-OPERATION-{name}",
            "An operation that the server cannot know (KMIP 1.4 §11.1, KMIP 2.1 §11.46).",
            partial(_empty, Operation(number), how, claim),
        )


def _merged(cases: Iterator[Case]) -> Iterator[Case]:
    """Cases with the same name, as one case with the versions of all of them."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.name, []).append(case)
    for same in found.values():
        versions = tuple(version for case in same for version in case.versions)
        by_version = {version: case.steps for case in same for version in case.versions}
        steps = partial(_of_version, by_version)
        yield rule(same[0].name, same[0].about, steps, versions)


def _of_version(steps: Mapping[Version, Steps], version: Version) -> Iterable[Step | Batch]:
    return steps[version](version)


CASES = tuple(_merged(iter((*_required(), *_strange_fields(), *_enumerations(), *_operations()))))
