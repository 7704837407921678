"""Cases of Protection Storage Masks, which say where a new object may be stored (KMIP 2.1 §7.33)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from kmipkit_conformance.wording import operation_title

from kmipkit.model.payloads import rekey
from kmipkit.model.payloads.common import ProtectionStorageMasks
from kmipkit.spec.enums import ObjectType, Operation
from kmipkit.spec.masks import CryptographicUsageMask, ProtectionStorageMask
from kmipkit.spec.versions import V2_1, Version
from suite_cases.building import Refused, create_key, rule
from suite_cases.key_rules import certified, join_parts, re_certify, split_in_parts
from suite_cases.objects import register
from suite_cases.steps import Case, Step, create_pair, uid

_OP = Operation
_Mask = ProtectionStorageMask
_CLAUSE = "KMIP 2.1 §7.33"

IMPOSSIBLE = ProtectionStorageMasks(
    masks=(_Mask.ON_SYSTEM | _Mask.OFF_SYSTEM | _Mask.ON_PREMISES | _Mask.OFF_PREMISES,)
)
"""One mask, whose bits contradict each other: no server stores an object in such a place."""


def _pair() -> Step:
    return create_pair(CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY)


def _certified() -> tuple[Step, ...]:
    return tuple(certified())


def _re_key() -> Step:
    return Step(
        _OP.RE_KEY,
        rekey.ReKeyRequest(unique_identifier=uid(0)),
        rekey.ReKeyResponse(unique_identifier=uid(1)),
    )


def _re_key_pair() -> Step:
    return Step(
        _OP.RE_KEY_KEY_PAIR,
        rekey.ReKeyKeyPairRequest(private_key_unique_identifier=uid(0)),
        rekey.ReKeyKeyPairResponse(
            private_key_unique_identifier=uid(2), public_key_unique_identifier=uid(3)
        ),
    )


def _parts() -> tuple[Step, ...]:
    split = split_in_parts(V2_1).needing("Polynomial Sharing GF(2^16)")
    return create_key(), split, join_parts(1, 2)


_STEPS: dict[Operation, Callable[[], tuple[Step, ...]]] = {
    _OP.CREATE: lambda: (create_key(),),
    _OP.REGISTER: lambda: (register(ObjectType.SYMMETRIC_KEY),),
    _OP.CREATE_KEY_PAIR: lambda: (_pair(),),
    _OP.RE_KEY: lambda: (create_key(), _re_key()),
    _OP.RE_KEY_KEY_PAIR: lambda: (_pair(), _re_key_pair()),
    _OP.CERTIFY: _certified,
    _OP.RE_CERTIFY: lambda: (*_certified(), re_certify()),
    _OP.CREATE_SPLIT_KEY: lambda: _parts()[:2],
    _OP.JOIN_SPLIT_KEY: _parts,
}
"""What creates an object, after what it needs."""

_OF_PAIRS = ("common_", "private_", "public_")


def _refused(operation: Operation, of: str, claim: str, version: Version) -> Iterator[Step]:
    del version
    *before, last = _STEPS[operation]()
    request: Any = last.request
    changed = request.replace(**{f"{of}protection_storage_masks": IMPOSSIBLE})
    yield from before
    yield replace(last, request=changed, optional="").refused(Refused(), claim)


def _cases() -> Iterator[Case]:
    for operation in _STEPS:
        is_of_pairs = operation in (_OP.CREATE_KEY_PAIR, _OP.RE_KEY_KEY_PAIR)
        for of in _OF_PAIRS if is_of_pairs else ("",):
            title = operation_title(operation)
            what = f"{of.strip('_').title()} Protection Storage Masks".strip()
            name = f"{operation.name.replace('_', '-')}{'-' if of else ''}{of.strip('_').upper()}"
            claim = (
                f"{title} is refused if none of the {what} can be satisfied in its entirety"
                f" ({_CLAUSE})"
            )
            about = f"{title} with {what} that no server can satisfy ({_CLAUSE})."
            steps = partial(_refused, operation, of, claim)
            yield rule(f"STORAGE-{name}", about, steps, (V2_1,))


CASES: tuple[Case, ...] = tuple(_cases())
