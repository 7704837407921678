"""Cases of errors and of rarer features, for clauses that no table has."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import load_der_private_key

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.credentials import Ticket
from kmipkit.model.keyblock import KeyBlock, KeyValue, TransparentRSAPublicKey
from kmipkit.model.objects import PublicKey, SymmetricKey
from kmipkit.model.payloads import crypto, session
from kmipkit.model.payloads.asynchronous import PollRequest, ProcessRequest
from kmipkit.model.payloads.certify import ValidateRequest
from kmipkit.model.payloads.lifecycle import ActivateRequest, ActivateResponse
from kmipkit.model.payloads.register import ImportRequest, ImportResponse
from kmipkit.model.payloads.rekey import ReKeyKeyPairRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CryptographicAlgorithm,
    KeyFormatType,
    KeyWrapType,
    NameType,
    ObjectType,
    Operation,
    ResultStatus,
    TicketType,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, V2_1, Version
from suite_cases.building import (
    UNKNOWN_OBJECT,
    WRONG_USE,
    Batch,
    R,
    Refused,
    create_key,
    rule,
    simple,
)
from suite_cases.cryptography import PKCS1
from suite_cases.key_rules import pair
from suite_cases.material import PRIVATE_KEY
from suite_cases.object_rules import fetch
from suite_cases.objects import block, register
from suite_cases.steps import CORRELATION_VALUE, KEY, Case, Step, create_pair, uid
from suite_cases.wrap_rules import RAW, wrapped_block, wrapping_key

_OP = Operation
_Type = ObjectType
_Mask = CryptographicUsageMask


def _pair_name(version: Version) -> Iterator[Step]:
    name = Name(name_value=f"KIT-PAIR-NAME-{version}", name_type=NameType.UNINTERPRETED_TEXT_STRING)
    yield create_key(2, (Tag.NAME, name))
    how = Refused(
        (R.INVALID_FIELD,),
        (R.NON_UNIQUE_NAME_ATTRIBUTE, R.INVALID_FIELD, R.INVALID_ATTRIBUTE_VALUE),
    )
    yield pair(private=((Tag.NAME, name),)).refused(
        how, "a key of a pair has a Name of its own (KMIP 1.4 §3.2, §11.3; KMIP 2.1 §4.32, §6.1.9)"
    )


def _absent_pair(version: Version) -> Iterator[Step]:
    del version
    request = ReKeyKeyPairRequest(private_key_unique_identifier="KIT-no-such-object")
    yield Step(_OP.RE_KEY_KEY_PAIR, request, UNKNOWN_OBJECT).claiming(
        "the pair must exist (KMIP 1.4 §11.6, KMIP 2.1 §6.1.47)"
    )


def _verify_mask(version: Version) -> Iterator[Step]:
    del version
    yield create_pair(_Mask.DECRYPT, _Mask.ENCRYPT)
    yield simple(_OP.ACTIVATE, 1)
    request = crypto.SignatureVerifyRequest(
        unique_identifier=uid(1),
        cryptographic_parameters=PKCS1.replace(cryptographic_algorithm=CryptographicAlgorithm.RSA),
        data=b"abc",
        signature_data=bytes(256),
    )
    yield Step(_OP.SIGNATURE_VERIFY, request, WRONG_USE).claiming(
        "Signature Verify needs a key with the usage Verify (KMIP 1.4 §3.19, §11.33; KMIP 2.1 §4.17,"
        " §6.1.56)"
    )


def _validate_nothing(version: Version) -> Iterator[Step]:
    del version
    how = Refused((R.INVALID_MESSAGE,), (R.INVALID_MESSAGE, R.INVALID_FIELD, R.MISSING_DATA))
    yield Step(_OP.VALIDATE, ValidateRequest(), how).claiming(
        "Validate without a certificate is refused (KMIP 1.4 §11.25, KMIP 2.1 §6.1.57)"
    )


def _process_unknown(version: Version) -> Iterator[Step]:
    del version
    how = Refused(new=(R.INVALID_ASYNCHRONOUS_CORRELATION_VALUE, R.ITEM_NOT_FOUND, R.INVALID_FIELD))
    request = ProcessRequest(asynchronous_correlation_value=b"KIT-unknown")
    yield Step(_OP.PROCESS, request, how).claiming(
        "Process of an unknown request is refused (KMIP 2.1 §6.1.39)"
    )


def _logout_unknown(version: Version) -> Iterator[Step]:
    del version
    how = Refused(
        new=(
            *(R.INVALID_TICKET, R.AUTHENTICATION_NOT_SUCCESSFUL, R.PERMISSION_DENIED),
            *(R.ITEM_NOT_FOUND, R.INVALID_FIELD),
        )
    )
    ticket = Ticket(ticket_type=TicketType.LOGIN, ticket_value=b"KIT-unknown")
    yield Step(_OP.LOGOUT, session.LogoutRequest(ticket=ticket), how).claiming(
        "Logout with an unknown ticket is refused (KMIP 2.1 §6.1.31)"
    )


def _transparent(version: Version) -> Iterator[Step]:
    del version
    key = load_der_private_key(PRIVATE_KEY, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.public_key().public_numbers()
    value = PublicKey(
        key_block=KeyBlock(
            key_format_type=KeyFormatType.TRANSPARENT_RSA_PUBLIC_KEY,
            key_value=KeyValue(
                key_material=TransparentRSAPublicKey(modulus=numbers.n, public_exponent=numbers.e)
            ),
            cryptographic_algorithm=CryptographicAlgorithm.RSA,
            cryptographic_length=2048,
        )
    )
    yield register(_Type.PUBLIC_KEY)
    yield (
        fetch(_Type.PUBLIC_KEY, value, key_format_type=KeyFormatType.TRANSPARENT_RSA_PUBLIC_KEY)
        .needing("transparent RSA keys")
        .claiming(
            "the numbers of a transparent key are Big Integers (KMIP 1.4 §2.1.7.5, §9.1.1.4; KMIP 2.1"
            " §3.8, §10.1.2)"
        )
    )


_IMPORTED = bytes(range(32, 48))
"""The key that is imported: no other case has it, because a server may protect all copies of a key alike."""

_IMPORT = "KMIP 1.4 §4.41, KMIP 2.1 §6.1.25"


def _import_wrapped(version: Version, wrap_type: KeyWrapType) -> Iterator[Step]:
    """Import the key 1, which the key 0 has wrapped."""
    name = "$UNIQUE_IDENTIFIER_RANDOM_1"
    is_new = version >= V2_0
    given = [] if is_new else [(Tag.OBJECT_TYPE, _Type.SYMMETRIC_KEY)]
    value = wrapped_block(aes_key_wrap(KEY, _IMPORTED), RAW)
    yield from wrapping_key()
    yield Step(
        _OP.IMPORT,
        ImportRequest(
            unique_identifier=name,
            object_type=_Type.SYMMETRIC_KEY if is_new else None,
            key_wrap_type=wrap_type,
            object=value,
            attributes=Attributes.of(*given, (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT)),
        ),
        ImportResponse(unique_identifier=name),
    ).needing("wrapped keys in Import")
    is_clear = wrap_type is KeyWrapType.NOT_WRAPPED
    told = SymmetricKey(key_block=block(_IMPORTED)) if is_clear else value
    step = fetch(_Type.SYMMETRIC_KEY, told)
    request: Any = step.request
    response: Any = step.response
    what = "unwraps the key" if is_clear else "leaves the key as it is"
    yield replace(
        step,
        request=request.replace(unique_identifier=name),
        response=response.replace(unique_identifier=name),
    ).claiming(f"Import {what}, as its Key Wrap Type says ({_IMPORT})")


def _import_unwrapped(version: Version) -> Iterator[Step]:
    return _import_wrapped(version, KeyWrapType.NOT_WRAPPED)


def _import_as_it_is(version: Version) -> Iterator[Step]:
    return _import_wrapped(version, KeyWrapType.AS_REGISTERED)


def _poll(version: Version) -> Iterator[Step | Batch]:
    indicator: Any = True if version < V2_0 else AsynchronousIndicator.OPTIONAL
    yield create_key()
    pending = Step(
        _OP.ACTIVATE,
        ActivateRequest(unique_identifier=uid(0)),
        ResultStatus.OPERATION_PENDING,
        asynchronous=True,
    )
    yield Batch((pending,), with_ids=False, optional="asynchronous requests (KMIP 1.4 §6.7)")
    poll = Step(
        _OP.POLL,
        PollRequest(asynchronous_correlation_value=CORRELATION_VALUE),
        ActivateResponse(unique_identifier=uid(0)),
        response_operation=_OP.ACTIVATE,
    )
    yield Batch(
        (poll,),
        "Poll itself is not asynchronous (KMIP 1.4 §4.28, KMIP 2.1 §6.1.38)",
        {"asynchronous_indicator": indicator},
        with_ids=False,
    )


_NEW = (V2_1,)
_ROWS: tuple[tuple[Any, ...], ...] = (
    ("NAME-TWICE-PAIR", "The same Name for a key of a pair (KMIP 1.4 §3.2, KMIP 2.1 §4.32).", _pair_name),
    ("ABSENT-RE-KEY-KEY-PAIR", "A pair that does not exist (KMIP 1.4 §11.6, KMIP 2.1 §6.1.47).", _absent_pair),
    ("CRYPTO-SIGNATURE-VERIFY-MASK", "Signature Verify with a key for something else (KMIP 1.4 §3.19, KMIP 2.1 §4.17).", _verify_mask),
    ("VALIDATE-NOTHING", "Validate without a certificate (KMIP 1.4 §11.25, KMIP 2.1 §6.1.57).", _validate_nothing),
    ("PROCESS-UNKNOWN", "Process of nothing (KMIP 2.1 §6.1.39).", _process_unknown, _NEW),
    ("LOGOUT-UNKNOWN", "Logout with an unknown ticket (KMIP 2.1 §6.1.31).", _logout_unknown, _NEW),
    ("FORMAT-TRANSPARENT", "Get of a transparent RSA key (KMIP 1.4 §9.1.1.4, KMIP 2.1 §10.1.2).", _transparent),
    ("IMPORT-UNWRAPPED", f"Import of a wrapped key that is not to be wrapped ({_IMPORT}).", _import_unwrapped),
    ("IMPORT-AS-IT-IS", f"Import of a wrapped key as it is ({_IMPORT}).", _import_as_it_is),
    ("ASYNC-POLL-ITSELF", "Poll with an Asynchronous Indicator (KMIP 1.4 §4.28, KMIP 2.1 §6.1.38).", _poll),
)  # fmt: skip

CASES: tuple[Case, ...] = tuple(rule(*row) for row in _ROWS)
