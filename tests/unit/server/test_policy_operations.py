"""Each operation of the table is asked about: a rule denies it, or allows just this one to others."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls
from kmipkit_client.calls import Call, raw
from kmipkit_server.operations.table import STANDARD
from kmipkit_server.policy.actions import ALL, ALWAYS_LOADING, CLASSES, actions_named
from policies import PolicyLaboratory

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import CryptographicParameters, Name, RevocationReason
from kmipkit.model.keyblock import (
    EncryptionKeyInformation,
    KeyBlock,
    KeyValue,
    KeyWrappingSpecification,
)
from kmipkit.model.objects import SymmetricKey
from kmipkit.model.payloads.accounts import PasswordCredential
from kmipkit.model.payloads.limits import Right, Rights
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.model.payloads.rekey import DerivationParameters
from kmipkit.spec.enums import (
    AdjustmentType,
    BlockCipherMode,
    CredentialType,
    CryptographicAlgorithm,
    DerivationMethod,
    EndpointRole,
    HashingAlgorithm,
    InteropFunction,
    KeyFormatType,
    NameType,
    ObjectGroupMember,
    ObjectType,
    Operation,
    PaddingMethod,
    PKCS11Function,
    QueryFunction,
    RevocationReasonCode,
    SplitKeyMethod,
    WrappingMethod,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit.spec.versions import V2_1, V3_0, Version
from kmipkit.ttlv.tree import Item

O = Operation  # noqa: E741 - a table of rows is read by its columns
AES = CryptographicAlgorithm.AES
CBC = CryptographicParameters(
    block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5
)
KEY_ATTRIBUTES = Attributes.of(
    (Tag.CRYPTOGRAPHIC_ALGORITHM, AES),
    (Tag.CRYPTOGRAPHIC_LENGTH, 128),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT),
)
ALL_USES = CryptographicUsageMask((1 << 20) - 1)
NAMED = Attributes.of(
    (Tag.NAME, Name(name_value="new", name_type=NameType.UNINTERPRETED_TEXT_STRING))
)
KEY = SymmetricKey(
    key_block=KeyBlock(
        key_format_type=KeyFormatType.RAW,
        key_value=KeyValue(key_material=bytes(16)),
        cryptographic_algorithm=AES,
        cryptographic_length=128,
    )
)
DERIVATION = DerivationParameters(
    cryptographic_parameters=CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256),
    derivation_data=(b"data",),
)
ADDED = Attribute(Tag.CONTACT_INFORMATION, "someone")

Fields = Callable[[str], dict[str, Any]]

OF_OBJECT: dict[Operation, Fields] = {
    **dict.fromkeys(
        (
            O.CHECK,
            O.GET,
            O.EXPORT,
            O.GET_ATTRIBUTES,
            O.GET_ATTRIBUTE_LIST,
            O.OBTAIN_LEASE,
            O.ACTIVATE,
            O.DESTROY,
            O.ARCHIVE,
            O.RECOVER,
            O.DEACTIVATE,
            O.OBLITERATE,
            O.RE_KEY,
            O.RE_CERTIFY,
        ),
        lambda key: {"unique_identifier": key},
    ),
    **dict.fromkeys(
        (O.ENCRYPT, O.DECRYPT, O.SIGN, O.SIGNATURE_VERIFY, O.MAC, O.MAC_VERIFY),
        lambda key: {"unique_identifier": key, "data": bytes(16), "cryptographic_parameters": CBC},
    ),
    **dict.fromkeys(
        (O.ADD_ATTRIBUTE, O.MODIFY_ATTRIBUTE, O.SET_ATTRIBUTE),
        lambda key: {"unique_identifier": key, "attribute": ADDED},
    ),
    O.CERTIFY: lambda key: {"unique_identifier": key},
    O.RE_KEY_KEY_PAIR: lambda key: {"private_key_unique_identifier": key},
    O.VALIDATE: lambda key: {"unique_identifiers": (key,)},
    O.DELETE_ATTRIBUTE: lambda key: {
        "unique_identifier": key,
        "attribute_reference": Tag.CONTACT_INFORMATION,
    },
    O.ADJUST_ATTRIBUTE: lambda key: {
        "unique_identifier": key,
        "attribute_reference": Tag.SENSITIVE,
        "adjustment_type": AdjustmentType.NEGATE,
    },
    O.GET_USAGE_ALLOCATION: lambda key: {"unique_identifier": key, "usage_limits_count": 1},
    O.REVOKE: lambda key: {
        "unique_identifier": key,
        "revocation_reason": RevocationReason(
            revocation_reason_code=RevocationReasonCode.UNSPECIFIED
        ),
    },
    O.DERIVE_KEY: lambda key: {
        "object_type": ObjectType.SYMMETRIC_KEY,
        "unique_identifiers": (key,),
        "derivation_method": DerivationMethod.HMAC,
        "derivation_parameters": DERIVATION,
        "attributes": KEY_ATTRIBUTES,
    },
    O.CREATE_SPLIT_KEY: lambda key: {
        "object_type": ObjectType.SPLIT_KEY,
        "unique_identifier": key,
        "split_key_parts": 2,
        "split_key_threshold": 2,
        "split_key_method": SplitKeyMethod.XOR,
        "attributes": Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, ALL_USES)),
    },
    O.JOIN_SPLIT_KEY: lambda key: {
        "object_type": ObjectType.SYMMETRIC_KEY,
        "unique_identifiers": (key, key),
    },
}
"""The operations on an object that exists, and the fields of their requests."""

WITHOUT_OBJECT: dict[Operation, dict[str, Any]] = {
    O.CREATE: {"object_type": ObjectType.SYMMETRIC_KEY, "attributes": KEY_ATTRIBUTES},
    O.CREATE_KEY_PAIR: {},
    O.REGISTER: {
        "object_type": ObjectType.SYMMETRIC_KEY,
        "attributes": KEY_ATTRIBUTES,
        "object": KEY,
    },
    O.IMPORT: {
        "unique_identifier": "imported",
        "object_type": ObjectType.SYMMETRIC_KEY,
        "attributes": KEY_ATTRIBUTES,
        "object": KEY,
    },
    O.RE_PROVISION: {},
    O.LOCATE: {},
    O.HASH: {
        "cryptographic_parameters": CryptographicParameters(
            hashing_algorithm=HashingAlgorithm.SHA_256
        ),
        "data": b"x",
    },
    O.RNG_RETRIEVE: {"data_length": 8},
    O.RNG_SEED: {"data": b"seed"},
    O.PKCS_11: {"pkcs_11_function": PKCS11Function.C_INITIALIZE},
    O.DISCOVER_VERSIONS: {},
    O.QUERY: {"query_functions": (QueryFunction.QUERY_OPERATIONS,)},
    O.PING: {},
    O.LOG: {"log_message": "x"},
    O.INTEROP: {"interop_function": InteropFunction.BEGIN, "interop_identifier": "x"},
    O.SET_ENDPOINT_ROLE: {"endpoint_role": EndpointRole.SERVER},
    O.LOGIN: {},
    O.DELEGATED_LOGIN: {"rights": Rights(rights=(Right(),))},
    O.GET_CONSTRAINTS: {},
    O.SET_CONSTRAINTS: {},
    O.SET_DEFAULTS: {},
    O.CREATE_USER: {"attributes": NAMED},
    O.CREATE_GROUP: {"attributes": NAMED},
    O.CREATE_CREDENTIAL: {
        "credential_type": CredentialType.PASSWORD,
        "attributes": NAMED,
        "credential": PasswordCredential(password="x"),
    },
    O.POLL: {"asynchronous_correlation_value": b"x"},
    O.CANCEL: {"asynchronous_correlation_value": b"x"},
    O.PROCESS: {"asynchronous_correlation_value": b"x"},
    O.QUERY_ASYNCHRONOUS_REQUESTS: {},
}
"""The operations on no object that exists, and the fields of their requests."""

ROWS = {row.operation: row for row in STANDARD}
UNKNOWN = {O.LOGOUT}
"""Logout needs a ticket, which a request alone does not have; see the test of its own."""


def test_every_operation_of_the_table_is_tested_and_in_a_class() -> None:
    assert set(ROWS) == {*OF_OBJECT, *WITHOUT_OBJECT, *UNKNOWN}
    classes = [actions for name, actions in CLASSES.items() if name != ALL]
    for operation in ROWS:
        assert any(operation in actions for actions in classes), operation


def test_no_class_has_the_name_of_an_operation() -> None:
    for name in CLASSES:
        assert actions_named(name) == CLASSES[name]
    for operation in Operation:
        assert actions_named(title(operation)) == {operation}


def request(operation: Operation, key: str) -> tuple[Call[Any], Version]:
    """A request for an operation, and a version that has it."""
    row = ROWS[operation].protocol
    version = V2_1 if row.known_in(V2_1) else V3_0
    fields = OF_OBJECT[operation](key) if operation in OF_OBJECT else WITHOUT_OBJECT[operation]
    payload = row.request(version)
    assert payload is not None
    return raw(operation, payload(**fields)), version


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy")


@pytest.fixture(scope="module")
def laboratory(folder: Path) -> Iterator[PolicyLaboratory]:
    laboratory = PolicyLaboratory(folder / "data")
    yield laboratory
    laboratory.close()


@pytest.fixture
def key(laboratory: PolicyLaboratory) -> str:
    laboratory.apply("")
    identifier: str = laboratory.ask(calls.create(AES, 128, ALL_USES, None, None))
    return identifier


@pytest.mark.parametrize("operation", [each for each in ROWS if each not in UNKNOWN], ids=title)
def test_a_rule_denies_an_operation(
    laboratory: PolicyLaboratory, key: str, operation: Operation
) -> None:
    """Otherwise there would be an operation that no policy can forbid."""
    call, version = request(operation, key)
    laboratory.apply(f'[rules.none]\nwho = "me"\ndeny = "{title(operation)}"\n')
    before = laboratory.record(key)
    assert laboratory.outcome(call, "me", version) == "rule none"
    after = laboratory.record(key)
    assert before is not None
    assert after is not None
    assert after.attributes == before.attributes


@pytest.mark.parametrize("operation", OF_OBJECT, ids=title)
def test_a_rule_allows_others_an_operation_and_no_other(
    laboratory: PolicyLaboratory, key: str, operation: Operation
) -> None:
    """Who may check a key must not be able to get it."""
    call, version = request(operation, key)
    assert laboratory.outcome(call, "guest", version) == "PERMISSION_DENIED"
    laboratory.apply(
        f'[rules.share]\nwho = "guest"\nallow = "{title(operation)}"\nobjects.owners = "me"\n'
    )
    for other in (O.GET, O.GET_ATTRIBUTES, O.ENCRYPT, O.SET_ATTRIBUTE, O.DESTROY, O.OBLITERATE):
        if other is not operation:
            other_call, other_version = request(other, key)
            assert laboratory.outcome(other_call, "guest", other_version) == "PERMISSION_DENIED"
    assert laboratory.outcome(call, "guest", version) not in ("PERMISSION_DENIED", "rule share")
    assert laboratory.outcome(call, "stranger", version) in (
        "PERMISSION_DENIED", "OBJECT_NOT_FOUND",
    )  # fmt: skip


def test_operations_that_load_first_do_so(laboratory: PolicyLaboratory) -> None:
    """They are decided about with their object only, so that none may do anything without one."""
    laboratory.apply('[rules.none]\nwho = "me"\ndeny = "all"\n')
    for operation in ALWAYS_LOADING & set(OF_OBJECT):
        call, version = request(operation, "missing")
        assert laboratory.outcome(call, "me", version) == "OBJECT_NOT_FOUND", operation


# --- objects that an operation makes or touches besides ---------------------------------------------


def test_new_objects_are_decided_about_by_what_they_would_be(laboratory: PolicyLaboratory) -> None:
    laboratory.apply(
        """
        [rules.length]
        deny = "create objects"
        objects.attributes."Cryptographic Length" = 128

        [rules.names]
        deny = ["Create", "Register"]
        objects = "prod-*"
        unless.who = "ops"
        """
    )
    mask = CryptographicUsageMask.ENCRYPT
    assert laboratory.outcome(calls.create(AES, 128, mask, None, None)) == "rule length"
    assert laboratory.outcome(calls.create(AES, 256, mask, "prod-7", None)) == "rule names"
    assert laboratory.outcome(calls.create(AES, 256, mask, "test-7", None)) == ""
    assert laboratory.outcome(calls.create(AES, 256, mask, "prod-7", None), "ops") == ""


def test_a_locate_makes_no_key_that_a_create_may_not_make(laboratory: PolicyLaboratory) -> None:
    """Clients may ask for a fresh member of the group "default", which the server then generates."""
    fresh = raw(
        O.LOCATE,
        LocateRequest(
            attributes=Attributes.of(
                (Tag.OBJECT_GROUP, Item(Tag.OBJECT_GROUP, ItemType.TEXT_STRING, "default"))
            ),
            object_group_member=ObjectGroupMember.GROUP_MEMBER_FRESH,
        ),
    )
    laboratory.apply('[rules.none]\ndeny = "Create"\n')
    assert laboratory.outcome(fresh, "newcomer") == "rule none"
    laboratory.apply("")
    assert laboratory.outcome(fresh, "newcomer") == ""


def wrapped_get(key: str, wrapping_key: str) -> Call[Any]:
    specification = KeyWrappingSpecification(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(
            unique_identifier=wrapping_key,
            cryptographic_parameters=CryptographicParameters(
                block_cipher_mode=BlockCipherMode.NISTKEYWRAP
            ),
        ),
    )
    return calls.get(key, None, None, specification)


def active(laboratory: PolicyLaboratory, owner: str) -> str:
    identifier: str = laboratory.ask(calls.create(AES, 256, ALL_USES, None, None), identity=owner)
    laboratory.ask(calls.activate(identifier), identity=owner)
    return identifier


def test_a_shared_wrapping_key_needs_no_right_to_get_it(laboratory: PolicyLaboratory) -> None:
    laboratory.apply("")
    shared, own = active(laboratory, "safe"), active(laboratory, "app")
    assert laboratory.outcome(wrapped_get(own, shared), "app") == "PERMISSION_DENIED"
    laboratory.apply('[rules.wrap]\nwho = "app"\nallow = "Wrap Key"\nobjects.owners = "safe"\n')
    assert laboratory.outcome(wrapped_get(own, shared), "app") == ""
    assert laboratory.outcome(calls.get(shared, None, None, None), "app") == "PERMISSION_DENIED"
    laboratory.apply('[rules.get]\nwho = "app"\nallow = "Get"\nobjects.owners = "safe"\n')
    assert laboratory.outcome(wrapped_get(own, shared), "app") == "PERMISSION_DENIED"


def test_an_import_that_replaces_destroys(laboratory: PolicyLaboratory) -> None:
    laboratory.apply("")
    old = laboratory.ask(calls.create(AES, 128, ALL_USES, "prod-9", None))
    row = ROWS[O.IMPORT].protocol.request(V2_1)
    assert row is not None
    fields = WITHOUT_OBJECT[O.IMPORT] | {"unique_identifier": old, "replace_existing": True}
    call = raw(O.IMPORT, row(**fields))
    laboratory.apply('[rules.keep]\ndeny = "Destroy"\nobjects = "prod-*"\n')
    assert laboratory.outcome(call) == "rule keep"
    laboratory.apply('[rules.in]\nwho = "guest"\nallow = ["Import", "Destroy"]\nobjects = "*"\n')
    assert laboratory.outcome(call, "guest") == ""
    record = laboratory.record(old)
    assert record is not None
    assert record.owner == "me"  # it does not become that of the guest


def test_a_replacement_belongs_to_the_owner_of_the_key(laboratory: PolicyLaboratory) -> None:
    laboratory.apply('[rules.rotate]\nwho = "operator"\nallow = "Re-key"\nobjects = "rotated"\n')
    laboratory.ask(calls.create(AES, 256, ALL_USES, "rotated", None))
    [old] = laboratory.ask(calls.locate("rotated", None, None, None, None, None)).ids
    call, version = request(O.RE_KEY, old)
    new = laboratory.ask(call, version, "operator").unique_identifier
    record = laboratory.record(new)
    assert record is not None
    assert record.owner == "me"
    assert laboratory.outcome(calls.get(new, None, None, None), "operator") == "PERMISSION_DENIED"


def test_the_parts_of_a_split_key_are_its_material(laboratory: PolicyLaboratory) -> None:
    """Who may not get a key must not get parts that anybody can join."""
    laboratory.apply("")
    key = laboratory.ask(calls.create(AES, 256, ALL_USES, "split-me", None))
    laboratory.apply('[rules.use]\ndeny = "get material"\nobjects = "split-me"\n')
    call, version = request(O.CREATE_SPLIT_KEY, key)
    assert laboratory.outcome(call, "me", version) == "rule use"
