"""Cases of the State of an object: what is possible in each, and which operation leads to which."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from kmipkit_conformance.wording import operation_title

from kmipkit.model.attributes import CryptographicParameters, RevocationReason
from kmipkit.model.payloads import crypto, lifecycle
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    HashingAlgorithm,
    ObjectType,
    Operation,
    PaddingMethod,
    RevocationReasonCode,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version
from suite_cases.attribute_values import FAR_FUTURE, FUTURE, PAST
from suite_cases.building import (
    READ_ONLY,
    WRONG_STATE,
    R,
    Refused,
    create_key,
    fixed,
    modify,
    read,
    revoke,
    rule,
    simple,
    state_title,
    title_of,
)
from suite_cases.objects import register
from suite_cases.steps import KEY, NOW, Case, Step, register_key, uid

_Code = RevocationReasonCode
_Mask = CryptographicUsageMask

WAYS: Mapping[State, tuple[Step, ...]] = {
    State.PRE_ACTIVE: (),
    State.ACTIVE: (simple(Operation.ACTIVATE),),
    State.DEACTIVATED: (simple(Operation.ACTIVATE), revoke()),
    State.COMPROMISED: (revoke(code=_Code.KEY_COMPROMISE),),
    State.DESTROYED: (simple(Operation.DESTROY),),
    State.DESTROYED_COMPROMISED: (
        revoke(code=_Code.KEY_COMPROMISE),
        simple(Operation.DESTROY),
    ),
}
"""How a new object gets into each state."""

_CBC = CryptographicParameters(
    block_cipher_mode=BlockCipherMode.CBC,
    padding_method=PaddingMethod.PKCS5,
    cryptographic_algorithm=CryptographicAlgorithm.AES,
)
_HMAC = CryptographicParameters(
    hashing_algorithm=HashingAlgorithm.SHA_256,
    cryptographic_algorithm=CryptographicAlgorithm.HMAC_SHA256,
)
_IV = bytes(16)
_PLAIN = b"sixteen bytes..."
# AES-128-CBC of _PLAIN with PKCS#5 padding, key 00 01 ... 0f, IV 0.
_CIPHER = bytes.fromhex("61337504674a7907e882ec81498133f5e95971c8950b5527ac87e7a7f69b8c2f")
_HMAC_KEY = bytes(range(32))
_CODE = bytes.fromhex("4edf1eff2553848a8a86d7a32d3f9bab83d400f3102afbb3e272874d3dffc9cc")


def encrypt(number: int = 0) -> Step:
    """Encrypt a block with a known result."""
    return Step(
        Operation.ENCRYPT,
        crypto.EncryptRequest(
            unique_identifier=uid(number),
            cryptographic_parameters=_CBC,
            data=_PLAIN,
            iv_counter_nonce=_IV,
        ),
        crypto.EncryptResponse(unique_identifier=uid(number), data=_CIPHER),
    )


def decrypt(number: int = 0) -> Step:
    """Decrypt it again."""
    return Step(
        Operation.DECRYPT,
        crypto.DecryptRequest(
            unique_identifier=uid(number),
            cryptographic_parameters=_CBC,
            data=_CIPHER,
            iv_counter_nonce=_IV,
        ),
        crypto.DecryptResponse(unique_identifier=uid(number), data=_PLAIN),
    )


def mac(number: int = 0) -> Step:
    """A MAC with a known result."""
    return Step(
        Operation.MAC,
        crypto.MACRequest(
            unique_identifier=uid(number), cryptographic_parameters=_HMAC, data=_PLAIN
        ),
        crypto.MACResponse(unique_identifier=uid(number), mac_data=_CODE),
    )


def usage_allocation(number: int = 0, count: int = 1) -> Step:
    """Ask for an allocation of usage."""
    return Step(
        Operation.GET_USAGE_ALLOCATION,
        lifecycle.GetUsageAllocationRequest(
            unique_identifier=uid(number), usage_limits_count=count
        ),
        lifecycle.GetUsageAllocationResponse(unique_identifier=uid(number)),
    )


def _cipher_key() -> Step:
    return register_key(0, KEY, _Mask.ENCRYPT | _Mask.DECRYPT)


def _mac_key() -> Step:
    return register_key(0, _HMAC_KEY, _Mask.MAC_GENERATE, CryptographicAlgorithm.HMAC_SHA256)


_DEAD = (State.DESTROYED, State.DESTROYED_COMPROMISED)
_GONE = Refused(
    (R.PERMISSION_DENIED, R.ITEM_NOT_FOUND, R.ILLEGAL_OPERATION),
    (
        *(R.OBJECT_DESTROYED, R.WRONG_KEY_LIFECYCLE_STATE, R.OBJECT_NOT_FOUND),
        *(R.PERMISSION_DENIED, R.KEY_VALUE_NOT_PRESENT, R.ITEM_NOT_FOUND),
    ),
)
_UNUSABLE = Refused(
    (*WRONG_STATE.old, R.ILLEGAL_OPERATION, R.ITEM_NOT_FOUND),
    (*WRONG_STATE.new, R.OBJECT_NOT_FOUND, R.KEY_VALUE_NOT_PRESENT),
)
_CRYPTOGRAPHY: Mapping[str, tuple[Callable[[], Step], Callable[[], Step]]] = {
    "ENCRYPT": (_cipher_key, encrypt),
    "DECRYPT": (_cipher_key, decrypt),
    "MAC": (_mac_key, mac),
}
_WHY: Mapping[State, str] = {
    State.PRE_ACTIVE: "an object that is not active yet is used for no cryptographic purpose",
    State.ACTIVE: "an active object can be used",
    State.DEACTIVATED: "a deactivated object protects nothing any more",
    State.COMPROMISED: "a compromised object protects nothing any more",
    State.DESTROYED: "a destroyed object is used for no cryptographic purpose",
    State.DESTROYED_COMPROMISED: "a destroyed object is used for no cryptographic purpose",
}
_STATES = "KMIP 1.4 §3.22, KMIP 2.1 §4.57"


def _code(state: State) -> str:
    return state.name.replace("_", "-")


def _cryptography() -> Iterator[Case]:
    """What keys may be used for in each state."""
    for name, (new, use) in _CRYPTOGRAPHY.items():
        for state, way in WAYS.items():
            if name == "DECRYPT" and state in (State.DEACTIVATED, State.COMPROMISED):
                continue  # "under extraordinary circumstances and only with special permission"
            claim = f"{_WHY[state]} ({_STATES})"
            last = use().claiming(claim)
            if state is not State.ACTIVE:
                last = last.refused(_GONE if state in _DEAD else _UNUSABLE)
            about = f"{operation_title(last.operation)} with a key that is {state_title(state)} ({_STATES})."
            yield rule(f"STATE-{_code(state)}-{name}", about, fixed(new(), *way, last))


_COMPROMISE = revoke(code=_Code.KEY_COMPROMISE)
_OCCURRED = replace(
    _COMPROMISE,
    request=_COMPROMISE.request.replace(compromise_occurrence_date=PAST),  # type: ignore[union-attr]  # a structure
)
_TRANSITIONS: Mapping[str, tuple[Step, str, Mapping[State, State | None]]] = {
    "ACTIVATE": (
        simple(Operation.ACTIVATE),
        "KMIP 1.4 §4.19, KMIP 2.1 §6.1.1",
        {State.PRE_ACTIVE: State.ACTIVE, **dict.fromkeys(list(WAYS)[1:])},
    ),
    "REVOKE": (
        revoke(),
        "KMIP 1.4 §4.20, KMIP 2.1 §6.1.44",
        {State.ACTIVE: State.DEACTIVATED},
    ),
    "COMPROMISE": (
        _COMPROMISE,
        "KMIP 1.4 §4.20, KMIP 2.1 §6.1.44",
        dict.fromkeys((State.PRE_ACTIVE, State.ACTIVE, State.DEACTIVATED), State.COMPROMISED),
    ),
    "DESTROY": (
        simple(Operation.DESTROY),
        "KMIP 1.4 §4.21, KMIP 2.1 §6.1.15",
        {
            State.PRE_ACTIVE: State.DESTROYED,
            State.ACTIVE: None,
            State.DEACTIVATED: State.DESTROYED,
            State.COMPROMISED: State.DESTROYED_COMPROMISED,
            State.DESTROYED: None,
            State.DESTROYED_COMPROMISED: None,
        },
    ),
}
"""What an operation makes of each state; None where it is refused."""


def _state(state: State, version: Version) -> Step:
    """Look at the state. A server of 1.x need not keep anything of a destroyed object (1.4 §3)."""
    step = read(Tag.STATE, found=[(Tag.STATE, state)])
    kept = state not in _DEAD or version >= V2_0
    return step if kept else step.needing("the attributes of destroyed objects (KMIP 1.4 §3)")


def _transition(name: str, state: State, version: Version) -> Iterator[Step]:
    step, clause, targets = _TRANSITIONS[name]
    target = targets[state]
    yield create_key()
    yield from WAYS[state]
    if target is None:
        yield step.refused(
            _GONE if state in _DEAD else WRONG_STATE,
            f"{operation_title(step.operation)} is refused in the state {state_title(state)} ({clause})",
        )
        yield _state(state, version).claiming(f"a refusal does not change the State ({_STATES})")
    else:
        yield step.claiming(
            f"{state_title(state)} becomes {state_title(target)} ({_STATES}; {clause})"
        )
        yield _state(target, version).claiming(f"the State is {state_title(target)} ({_STATES})")


def _transitions() -> Iterator[Case]:
    """Which operation leads from which state to which."""
    for name, (_, clause, targets) in _TRANSITIONS.items():
        for state, target in targets.items():
            what = "is refused" if target is None else f"makes it {state_title(target)}"
            about = f"{title_of(name)} of an object that is {state_title(state)} {what} ({_STATES}; {clause})."
            yield rule(f"STATE-{_code(state)}-{name}", about, partial(_transition, name, state))


_ACTIVE_DATE, _STOP_DATE = PAST, datetime(2002, 3, 4, tzinfo=UTC)


def _dated(name: str, about: str, *steps: Step) -> Case:
    return rule(f"STATE-{name}", about, fixed(*steps))


def _by_date() -> Iterator[Case]:
    """Dates that change the state, or what is possible in it."""
    past = "an Activation Date that is past, which a server may refuse (KMIP 1.4 §3.22, 2.1 §4.57)"
    active = read(Tag.STATE, found=[(Tag.STATE, State.ACTIVE)])
    deactivated = read(Tag.STATE, found=[(Tag.STATE, State.DEACTIVATED)])
    yield _dated(
        "ACTIVE-AT-CREATION",
        f"An object that is created with an Activation Date in the past is active ({_STATES}).",
        create_key(0, (Tag.ACTIVATION_DATE, PAST)).needing(past),
        active.claiming(f"an Activation Date in the past makes the object active ({_STATES})"),
        read(Tag.ACTIVATION_DATE, found=[(Tag.ACTIVATION_DATE, PAST)]).claiming(
            f"the Activation Date is that of the request ({_STATES})"
        ),
    )
    yield _dated(
        "ACTIVE-BY-DATE",
        f"An Activation Date that is changed to the past activates the object ({_STATES}).",
        create_key(0, (Tag.ACTIVATION_DATE, FUTURE)),
        modify(Tag.ACTIVATION_DATE, PAST).needing(past),
        active.claiming(f"the object becomes active when its Activation Date is past ({_STATES})"),
    )
    yield _dated(
        "DEACTIVATED-BY-DATE",
        f"A Deactivation Date that is changed to the past deactivates the object ({_STATES}).",
        create_key(0, (Tag.ACTIVATION_DATE, PAST), (Tag.DEACTIVATION_DATE, FUTURE)).needing(past),
        modify(Tag.DEACTIVATION_DATE, _STOP_DATE).needing("a Deactivation Date that is past"),
        deactivated.claiming(
            f"the object becomes deactivated when its Deactivation Date is past ({_STATES})"
        ),
    )
    yield _dated(
        "ACTIVATION-DATE-KEPT",
        "The Activation Date of an active object cannot be changed (KMIP 1.4 §3.24, KMIP 2.1 §4.1).",
        create_key(),
        simple(Operation.ACTIVATE),
        modify(Tag.ACTIVATION_DATE, FUTURE).refused(
            READ_ONLY_NOW,
            "once the object is active its Activation Date does not change (KMIP 1.4 §3.24, KMIP 2.1 §4.1)",
        ),
        active,
    )
    yield _dated(
        "DEACTIVATION-DATE-KEPT",
        "The Deactivation Date of a deactivated object cannot be changed (KMIP 1.4 §3.27, KMIP 2.1"
        " §4.18).",
        create_key(),
        simple(Operation.ACTIVATE),
        revoke(),
        modify(Tag.DEACTIVATION_DATE, FUTURE).refused(
            READ_ONLY_NOW,
            "the Deactivation Date changes only while the object is Pre-Active or Active (KMIP 1.4"
            " §3.27, KMIP 2.1 §4.18)",
        ),
        deactivated,
    )
    yield _dated(
        "PROTECT-STOP-ENCRYPT",
        "A key protects nothing after its Protect Stop Date (KMIP 1.4 §3.22, §3.26; KMIP 2.1 §4.57, §4.41).",
        _dated_key((Tag.PROTECT_STOP_DATE, _STOP_DATE)).needing(past),
        encrypt().refused(
            _UNUSABLE_NOW,
            "Encrypt is refused after the Protect Stop Date (KMIP 1.4 §3.26, KMIP 2.1 §4.41)",
        ),
    )
    yield _dated(
        "PROTECT-STOP-DECRYPT",
        "A key still decrypts after its Protect Stop Date (KMIP 1.4 §3.22, §3.26; KMIP 2.1 §4.57, §4.41).",
        _dated_key((Tag.PROTECT_STOP_DATE, _STOP_DATE)).needing(past),
        decrypt().claiming(
            "Decrypt is possible after the Protect Stop Date (KMIP 1.4 §3.26, KMIP 2.1 §4.41)"
        ),
    )
    yield _dated(
        "PROCESS-START-DECRYPT",
        "A key decrypts nothing before its Process Start Date (KMIP 1.4 §3.22, §3.25; KMIP 2.1 §4.57, §4.40).",
        _dated_key((Tag.PROCESS_START_DATE, FUTURE)).needing(past),
        decrypt().refused(
            _UNUSABLE_NOW,
            "Decrypt is refused before the Process Start Date (KMIP 1.4 §3.25, KMIP 2.1 §4.40)",
        ),
    )
    yield _dated(
        "PROCESS-START-ORDER",
        "A Process Start Date is not before the Activation Date (KMIP 1.4 §3.25, KMIP 2.1 §4.40).",
        create_key(0, (Tag.ACTIVATION_DATE, FAR_FUTURE), (Tag.PROCESS_START_DATE, FUTURE)).refused(
            BAD_VALUE,
            "a Process Start Date before the Activation Date is refused (KMIP 1.4 §3.25, KMIP 2.1 §4.40)",
        ),
    )
    claim = "a Process Start Date before the Activation Date is refused (KMIP 1.4 §3.25, KMIP 2.1 §4.40)"
    yield _dated(
        "PROCESS-START-ORDER-MODIFY",
        "A Process Start Date is not moved before the Activation Date (KMIP 1.4 §3.25, KMIP 2.1 §4.40).",
        create_key(0, (Tag.ACTIVATION_DATE, FAR_FUTURE), (Tag.PROCESS_START_DATE, FAR_FUTURE)),
        modify(Tag.PROCESS_START_DATE, FUTURE).refused(BAD_VALUE, claim),
        read(Tag.PROCESS_START_DATE, found=[(Tag.PROCESS_START_DATE, FAR_FUTURE)]).claiming(claim),
    )
    yield _dated(
        "PROTECT-STOP-ORDER",
        "A Protect Stop Date is not after the Deactivation Date (KMIP 1.4 §3.26, KMIP 2.1 §4.41).",
        create_key(0, (Tag.DEACTIVATION_DATE, FUTURE), (Tag.PROTECT_STOP_DATE, FAR_FUTURE)).refused(
            BAD_VALUE,
            "a Protect Stop Date after the Deactivation Date is refused (KMIP 1.4 §3.26, KMIP 2.1 §4.41)",
        ),
    )
    yield _dated(
        "PROCESS-START-KEPT",
        "A Process Start Date that has passed cannot be changed (KMIP 1.4 §3.25, KMIP 2.1 §4.40).",
        _dated_key((Tag.PROCESS_START_DATE, _STOP_DATE)).needing(past),
        modify(Tag.PROCESS_START_DATE, FUTURE).refused(
            READ_ONLY_NOW,
            "a Process Start Date that has occurred does not change (KMIP 1.4 §3.25, KMIP 2.1 §4.40)",
        ),
    )
    yield _dated(
        "PROTECT-STOP-KEPT",
        "A Protect Stop Date that has passed cannot be changed (KMIP 1.4 §3.26, KMIP 2.1 §4.41).",
        _dated_key((Tag.PROTECT_STOP_DATE, _STOP_DATE)).needing(past),
        modify(Tag.PROTECT_STOP_DATE, FUTURE).refused(
            READ_ONLY_NOW,
            "a Protect Stop Date that has occurred does not change (KMIP 1.4 §3.26, KMIP 2.1 §4.41)",
        ),
    )


def _dated_key(*dates: tuple[Tag, datetime]) -> Step:
    """A key with known bytes that has been active since 2001."""
    return register(ObjectType.SYMMETRIC_KEY, 0, (Tag.ACTIVATION_DATE, _ACTIVE_DATE), *dates)


READ_ONLY_NOW = Refused(
    (R.PERMISSION_DENIED, R.INVALID_FIELD),
    (
        *READ_ONLY.new,
        *(R.WRONG_KEY_LIFECYCLE_STATE, R.INVALID_ATTRIBUTE_VALUE, R.INVALID_FIELD),
    ),
)
"""An attribute that is read-only in this state: Permission Denied, as for one that always is."""
BAD_VALUE = Refused(
    (R.INVALID_FIELD,), (R.INVALID_ATTRIBUTE_VALUE, R.INVALID_FIELD, R.INVALID_ATTRIBUTE)
)
"""1.4 §11: incorrect attribute value(s)."""
_UNUSABLE_NOW = Refused(WRONG_STATE.old, (*WRONG_STATE.new, R.INVALID_FIELD))


def _effects() -> Iterator[Case]:
    """What else operations set."""
    reason = RevocationReason(revocation_reason_code=_Code.CESSATION_OF_OPERATION)
    for name, way, tag, value, clause in (
        ("ACTIVATE", (simple(Operation.ACTIVATE),), Tag.ACTIVATION_DATE, NOW,
         "KMIP 1.4 §3.22, §4.19; KMIP 2.1 §4.57, §6.1.1"),
        ("REVOKE", (simple(Operation.ACTIVATE), revoke()), Tag.DEACTIVATION_DATE, NOW,
         "KMIP 1.4 §3.27, §4.20; KMIP 2.1 §4.18, §6.1.44"),
        ("REVOKE", (simple(Operation.ACTIVATE), revoke()), Tag.REVOCATION_REASON, reason,
         "KMIP 1.4 §3.31, §4.20; KMIP 2.1 §4.47, §6.1.44"),
        ("COMPROMISE", (_COMPROMISE,), Tag.COMPROMISE_DATE, NOW,
         "KMIP 1.4 §3.30, §4.20; KMIP 2.1 §4.10, §6.1.44"),
        ("COMPROMISE", (_OCCURRED,), Tag.COMPROMISE_OCCURRENCE_DATE, PAST,
         "KMIP 1.4 §3.29, §4.20; KMIP 2.1 §4.11, §6.1.44"),
    ):  # fmt: skip
        attribute = BY_TAG[tag].name
        yield rule(
            f"EFFECT-{name}-{attribute.upper().replace(' ', '-')}",
            f"{title_of(name)} sets the {attribute} ({clause}).",
            fixed(
                create_key(),
                *way,
                read(tag, found=[(tag, value)]).claiming(
                    f"{title_of(name)} sets the {attribute} ({clause})"
                ),
            ),
        )


CASES = (*_cryptography(), *_transitions(), *_by_date(), *_effects())
