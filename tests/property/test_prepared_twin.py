"""A server with prepared answers and its twin without: the same bytes and the same records, whatever
happens between two requests.

A loss otherwise: somebody gets an answer that was right a moment ago, for another account, under another
policy, or before a date.
"""

import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings, target
from hypothesis import strategies as st
from kmipkit_client import calls, crypto_calls, private_key, secret_data, symmetric_key
from kmipkit_client import messages as client_messages
from kmipkit_client.calls import Call
from laboratory import START
from lengths import examples
from prepared_twin import AWAY, HERE, Twins

from bench.costly import rsa_bytes
from kmipkit.errors import KMIPError
from kmipkit.keys import cipher
from kmipkit.keys.parameters import Parameters
from kmipkit.model.attribute import Attributes, VendorName
from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.codec import encode
from kmipkit.model.keyblock import EncryptionKeyInformation, KeyWrappingSpecification
from kmipkit.model.messages import MessageExtension
from kmipkit.model.payloads.attributes import GetAttributeListRequest, GetAttributesRequest
from kmipkit.model.payloads.crypto import DecryptRequest, EncryptRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import ArchiveRequest, RecoverRequest
from kmipkit.model.payloads.register import ImportRequest
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    BlockCipherMode,
    CryptographicAlgorithm,
    KeyCompressionType,
    KeyFormatType,
    KeyWrapType,
    ObjectType,
    Operation,
    PaddingMethod,
    RevocationReasonCode,
    UsageLimitsUnit,
    WrappingMethod,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_1, V3_0, VERSIONS, Version
from kmipkit.ttlv.limits import DEFAULT_LIMITS
from kmipkit.ttlv.media import JSON, MEDIA, TTLV, XML
from kmipkit.ttlv.tree import Item

AES = CryptographicAlgorithm.AES
KEY = b"sixteen bytes..."
USE = Mask.ENCRYPT | Mask.DECRYPT | Mask.WRAP_KEY
RSA_KEY = private_key(rsa_bytes(1024), CryptographicAlgorithm.RSA, 1024, KeyFormatType.PKCS_1)
LIMITS = UsageLimits(usage_limits_total=10**9, usage_limits_unit=UsageLimitsUnit.BYTE)
SHARED = "the key"
"""The identifier that keys of several tenants have."""
NOTE = VendorName("x", "note")


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def registered(**more: Any) -> Call[str]:
    attributes = {Tag.ACTIVATION_DATE: at(-9)} | {Tag[name]: more[name] for name in more}
    return calls.register(symmetric_key(KEY), USE, None, attributes)


OBJECTS: tuple[Call[Any], ...] = (
    registered(),
    calls.register(symmetric_key(KEY), USE, "named", {Tag.ACTIVATION_DATE: at(2)}),
    registered(PROTECT_STOP_DATE=at(2), DEACTIVATION_DATE=at(4)),
    registered(PROCESS_START_DATE=at(2), USAGE_LIMITS=LIMITS),
    registered(SENSITIVE=True),
    calls.create(AES, 256, USE, "created", None),
    calls.register(secret_data(KEY), USE, None, {Tag.ACTIVATION_DATE: at(-9)}),
    calls.register(RSA_KEY, Mask.SIGN, None, None),
)
"""The objects of the account "me"."""


def imported(material: bytes) -> Call[Any]:
    attributes = Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, USE), (Tag.ACTIVATION_DATE, at(-9)))
    request = ImportRequest(
        unique_identifier=SHARED,
        object_type=ObjectType.SYMMETRIC_KEY,
        replace_existing=True,
        attributes=attributes,
        object=symmetric_key(material),
    )
    return calls.raw(Operation.IMPORT, request)


# --- requests ------------------------------------------------------------------------------------

MODES = (
    CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM, random_iv=True, tag_length=16),
    CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM, tag_length=12),
    CryptographicParameters(block_cipher_mode=BlockCipherMode.CTR, initial_counter_value=1),
    CryptographicParameters(
        block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5
    ),
    None,
)
IVS = (None, bytes(12), KEY, KEY, None)
"""What suits these modes."""
HEAD = bytes.fromhex("4200c208000000100000000000000000")
"""The head of Data of 16 bytes, as data: it is where the value is, and elsewhere."""


def sealed(mode: Any, data: bytes, iv: bytes | None, additional: bytes) -> DecryptRequest:
    """The decryption of what the keys of this test have encrypted."""
    if mode.block_cipher_mode is not BlockCipherMode.GCM:
        additional = b""
    result = cipher.encrypt(
        KEY, AES, Parameters.of(mode), data, iv=iv, additional_data=additional, random=bytes
    )
    return DecryptRequest(
        cryptographic_parameters=mode,
        data=result.data,
        iv_counter_nonce=iv or result.iv,
        authenticated_encryption_additional_data=additional or None,
        authenticated_encryption_tag=result.tag,
    )


_bytes = st.sampled_from(
    [b"", b"1", KEY, HEAD, HEAD[:8], bytes(16), bytes(12), b"twelve bytes", 2 * HEAD]
)
_wrapping = st.builds(
    lambda encrypts: KeyWrappingSpecification(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(
            unique_identifier=encrypts,
            cryptographic_parameters=CryptographicParameters(
                block_cipher_mode=BlockCipherMode.NISTKEYWRAP
            ),
        ),
    ),
    st.just("first"),
)
_ciphers = st.one_of(
    st.builds(
        lambda place, data: EncryptRequest(
            cryptographic_parameters=MODES[place], data=data, iv_counter_nonce=IVS[place]
        ),
        st.integers(0, 3),
        _bytes,
    ),
    st.builds(
        lambda place, data, additional: sealed(MODES[place], data, IVS[place], additional),
        st.integers(0, 2),
        _bytes,
        _bytes,
    ),
)
"""Uses that succeed, if the key may be used so."""
_payloads = st.one_of(
    st.builds(GetRequest),
    st.builds(
        GetRequest,
        key_format_type=st.sampled_from(
            [None, KeyFormatType.RAW, KeyFormatType.PKCS_1, KeyFormatType.PKCS_8]
        ),
        key_wrap_type=st.sampled_from([None, KeyWrapType.NOT_WRAPPED, KeyWrapType.AS_REGISTERED]),
        key_compression_type=st.sampled_from(
            [None, KeyCompressionType.EC_PUBLIC_KEY_TYPE_UNCOMPRESSED]
        ),
        key_wrapping_specification=st.none() | _wrapping,
    ),
    st.builds(
        GetAttributesRequest,
        attribute_references=st.lists(
            st.sampled_from([Tag.STATE, Tag.NAME, Tag.OBJECT_TYPE, Tag.LAST_CHANGE_DATE, NOTE]),
            max_size=2,
            unique=True,
        ).map(tuple),
    ),
    st.builds(GetAttributeListRequest),
    st.builds(
        EncryptRequest,
        cryptographic_parameters=st.sampled_from(MODES),
        data=_bytes,
        iv_counter_nonce=st.none() | _bytes,
        authenticated_encryption_additional_data=st.none() | _bytes,
    ),
    _ciphers,
    _ciphers,
    st.builds(
        DecryptRequest,
        cryptographic_parameters=st.sampled_from(MODES),
        data=_bytes,
        iv_counter_nonce=st.none() | _bytes,
        authenticated_encryption_additional_data=st.none() | _bytes,
        authenticated_encryption_tag=st.none() | _bytes,
    ),
)
_OPERATIONS: dict[type, Operation] = {
    GetRequest: Operation.GET,
    GetAttributesRequest: Operation.GET_ATTRIBUTES,
    GetAttributeListRequest: Operation.GET_ATTRIBUTE_LIST,
    EncryptRequest: Operation.ENCRYPT,
    DecryptRequest: Operation.DECRYPT,
}

EXTENSION = MessageExtension(
    vendor_identification="x",
    criticality_indicator=False,
    vendor_extension=Item(Tag.VENDOR_EXTENSION, ItemType.STRUCTURE, ()),
)


_headers = st.sampled_from(
    [
        *({},) * 6,
        {"maximum_response_size": 300},
        {"client_correlation_value": "mine"},
        {"time_stamp": START},
        {"batch_order_option": True},
        {"batch_error_continuation_option": BatchErrorContinuationOption.UNDO},
        {"attestation_capable_indicator": False},
    ]
)
_items = st.sampled_from(
    [
        *({},) * 6,
        {"unique_batch_item_id": b"1"},
        {"unique_batch_item_id": HEAD},
        {"message_extensions": (EXTENSION,)},
        {"ephemeral": True},
    ]
)


def message(payload: Any, version: Version, header: Any, item: Any, media: str) -> bytes | None:
    """A request; None if the version cannot say it."""
    call = calls.raw(_OPERATIONS[type(payload)], payload)
    try:
        request = client_messages.request(version, [call])
        [only] = request.batch_items
        request = request.replace(
            request_header=request.request_header.replace(**header),
            batch_items=(only.replace(**item),),
        )
        data = encode(request, version, strict=False)
        body = MEDIA[media].from_ttlv(data, DEFAULT_LIMITS)
        return MEDIA[media].to_ttlv(body, DEFAULT_LIMITS)
    except (KMIPError, TypeError):  # it lacks the operation, a field or a value
        return None


@st.composite
def asked(draw: st.DrawFn) -> tuple[Any, ...]:
    """Requests that are alike, with who sends them in turn."""
    payload = draw(_payloads)
    alike = [payload]
    if isinstance(payload, EncryptRequest | DecryptRequest):
        values = ("data", "iv_counter_nonce", "authenticated_encryption_additional_data")
        for mask in draw(st.lists(st.sampled_from([0, 1, 255]), min_size=2, max_size=4)):
            changed = {
                name: bytes(byte ^ mask for byte in getattr(payload, name))
                for name in values
                if getattr(payload, name) is not None
            }
            alike.append(payload.replace(**changed))
    version = draw(st.sampled_from([*VERSIONS, V1_0, V1_2, V1_4, V2_1, V2_1]))
    media = draw(st.sampled_from([TTLV, TTLV, XML, JSON]))
    who = st.sampled_from(["me", "me", "me", "other", "administrator", "a-1", "a-2", "g-1"])
    where = st.sampled_from([HERE, HERE, HERE, AWAY])
    askers = [("me", HERE), *draw(st.lists(st.tuples(who, where), max_size=2))]
    return alike, version, draw(_headers), draw(_items), media, askers


# --- events --------------------------------------------------------------------------------------


def raw(operation: Operation, kind: type) -> Callable[[str], Call[Any]]:
    return lambda key: calls.raw(operation, kind(unique_identifier=key))


def revoked(code: RevocationReasonCode) -> Callable[[str], Call[Any]]:
    return lambda key: calls.revoke(key, code, None, START)


def set_to(tag: Any, value: Any) -> Callable[[str], Call[Any]]:
    return lambda key: calls.set_attribute(key, tag, value)


CHANGES: tuple[Callable[[str], Call[Any]], ...] = (
    calls.activate,
    calls.destroy,
    revoked(RevocationReasonCode.KEY_COMPROMISE),
    revoked(RevocationReasonCode.CESSATION_OF_OPERATION),
    raw(Operation.ARCHIVE, ArchiveRequest),
    raw(Operation.RECOVER, RecoverRequest),
    crypto_calls.re_key,
    lambda key: calls.add_attribute(key, NOTE, "a note"),
    lambda key: calls.delete_attribute(key, NOTE),
    lambda key: calls.delete_attribute(key, Tag.NAME),
    lambda key: calls.add_attribute(key, Tag.NAME, "named"),
    lambda key: calls.add_attribute(key, Tag.NAME, "created"),
    set_to(Tag.SENSITIVE, True),
    set_to(Tag.EXTRACTABLE, False),
    set_to(Tag.CRYPTOGRAPHIC_USAGE_MASK, Mask.DECRYPT),
    set_to(Tag.USAGE_LIMITS, LIMITS),
    set_to(Tag.DEACTIVATION_DATE, at(3)),
    set_to(Tag.PROTECT_STOP_DATE, at(1)),
    set_to(Tag.PROCESS_START_DATE, at(3)),
    set_to(Tag.CRYPTOGRAPHIC_PARAMETERS, MODES[3]),
    set_to(Tag.CRYPTOGRAPHIC_PARAMETERS, MODES[1]),
)

READS = '["get", "get attributes", "get attribute list", "encrypt", "decrypt"]'
POLICIES = (
    "",
    f"[rules.no]\ndeny = {READS}\n",
    f'[rules.no]\ndeny = {READS}\nunless.who.networks = "192.0.2.0/24"\n',
    f'[rules.no]\ndeny = {READS}\nwhen.hours = "12:01-14:00"\n',
    f'[rules.share]\nwho = "other"\nallow = {READS}\n',
    f'[rules.few]\nrequire = {READS}\ncount = {{ times = 500, per = "day" }}\n',
    '[rules.two]\nrequire = "all"\napprovals = { by = "officer" }\n',
    f'[rules.state]\ndeny = {READS}\nobjects.states = ["Active"]\n',
    '[algorithms.age]\nmaximum_age_days = 40\nprocess = "refuse"\n',
    '[algorithms.modes]\nblock_cipher_modes = { forbidden = ["GCM", "CTR"] }\nprocess = "refuse"\n',
    '[algorithms.soon]\nalgorithms = { forbidden = ["AES"] }\nfrom = 2026-11-24\n',
    '[algorithms.now]\nalgorithms = { forbidden = ["AES"] }\n',
)

Event = Callable[[Twins], Awaitable[Any]]


def administered(method: str, path: str, **body: Any) -> Event:
    async def event(twins: Twins) -> None:
        answer = await twins.laboratory.ask(method, path, body)
        # Whether an account can be moved depends on what was before; but each policy is valid.
        assert answer.status == 200 or "text" not in body, answer.text

    return event


EVENTS: tuple[Event, ...] = (
    *(administered("POST", "/policy/versions", text=text) for text in POLICIES),
    administered("POST", "/policy/versions", text=POLICIES[1], tenant="acme"),
    administered("POST", "/policy/versions", text="", tenant="acme"),
    administered("POST", "/policy/versions/1/revert"),
    administered("PUT", "/accounts/me/block", reason="stolen"),
    administered("DELETE", "/accounts/me/block"),
    administered("POST", "/accounts/me/transfer", to="other"),
    administered("POST", "/accounts/other/transfer", to="me"),
    administered("POST", "/tenants-moves", account="me", target="acme"),
    administered("PATCH", "/tenants/acme", accounts=["me", "a-*"]),
    administered("PATCH", "/tenants/acme", accounts=["a-*"]),
    administered("PATCH", "/tenants/acme", accounts=["a-1"]),
    administered("DELETE", "/tenants/globex"),
)

_number = st.sampled_from([0, 0, 2, 2, 3, *range(len(OBJECTS) + 2)])
_happening = st.one_of(
    st.tuples(st.just("change"), st.tuples(st.sampled_from(CHANGES), st.booleans())),
    st.tuples(st.just("change"), st.tuples(st.sampled_from(CHANGES), st.booleans())),
    st.tuples(st.just("event"), st.sampled_from(EVENTS)),
    st.tuples(st.just("event"), st.sampled_from(EVENTS[: len(POLICIES)])),
    st.tuples(st.just("wait"), st.sampled_from([0.6, 1, 1, 1, 2, 2, 60, 3600, 50 * 86400])),
    st.tuples(st.just("import"), st.sampled_from(["me", "a-1", "a-2", "g-1"])),
)
_rounds = st.lists(
    st.tuples(
        _number,
        st.lists(asked(), min_size=1, max_size=3),
        st.lists(_happening, min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=4,
)
"""Something is asked about an object, and then something happens, mostly to this object."""


class Story:
    """What happens on a server, and what is asked meanwhile."""

    def __init__(self, twins: Twins) -> None:
        self.twins = twins
        self.keys: list[Any] = []
        self.recent: list[tuple[bytes, str, str]] = []

    async def tell(self, rounds: list[Any]) -> None:
        twins = self.twins
        twins.begin()
        for call in OBJECTS:
            made = await twins.change(call)
            self.keys.append(made.unique_identifier)
        for number, account in enumerate(("me", "a-1", "g-1")):
            await twins.change(imported(KEY[:-1] + bytes([number])), account)
        self.keys += [SHARED, NameReference("named")]
        for number, questions, happenings in rounds:
            key = self.keys[number]
            for question in questions:
                await self._ask(key, *question)
            for kind, detail in happenings:
                await self._happen(kind, detail, str(key))
                for each in self.recent[-8:]:
                    await twins.ask(*each)
                    await twins.ask(*each)

    async def _happen(self, kind: str, detail: Any, key: str) -> None:
        twins = self.twins
        if kind == "change":
            change, twin = detail
            await twins.change(change(key), twin=twin)
        elif kind == "event":
            await detail(twins)
        elif kind == "wait":
            twins.laboratory.pass_time(seconds=detail)
        else:
            await twins.change(imported(KEY), detail)

    async def _ask(
        self, key: Any, alike: Any, version: Any, header: Any, item: Any, media: str, askers: Any
    ) -> None:
        if isinstance(key, NameReference) and version < V3_0:
            key = self.keys[1]
        found = []
        for payload in alike:
            specification = getattr(payload, "key_wrapping_specification", None)
            more: dict[str, Any] = {}
            if specification is not None:
                information = specification.encryption_key_information
                information = information.replace(unique_identifier=self.keys[0])
                more["key_wrapping_specification"] = specification.replace(
                    encryption_key_information=information
                )
            named = payload.replace(unique_identifier=key, **more)
            data = message(named, version, header, item, media)
            if data is not None:
                found.append(data)
        for data in found * 3:
            for name, address in askers:
                await self.twins.ask(data, name, address)
        self.recent += [(data, *asker) for data in found[:2] for asker in askers]


@settings(max_examples=examples(80))
@given(_rounds)
def test_a_server_answers_and_records_as_its_twin_without_prepared_answers(
    rounds: list[Any],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder) / "data")
        try:
            twins.laboratory.administer(lambda: Story(twins).tell(rounds))
            twins.compare_records((HERE, AWAY))
        finally:
            twins.laboratory.close()
        target(twins.answers.found)


def test_most_of_these_answers_are_prepared() -> None:
    """The test above compares something, and says so if it no longer does."""
    encryption = EncryptRequest(
        cryptographic_parameters=MODES[0], data=KEY, authenticated_encryption_additional_data=HEAD
    )
    payloads = (GetRequest(), GetAttributesRequest(), encryption)
    rounds: list[Any] = [
        (number, [([payload] * 2, version, {}, item, media, [("me", HERE)])], [("wait", 1)])
        for number in (0, len(OBJECTS))
        for payload in payloads
        for version, media in ((V1_4, TTLV), (V2_1, XML), (V3_0, JSON))
        for item in ({}, {"unique_batch_item_id": HEAD} if version < V3_0 else {})
    ]
    with tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder) / "data")
        try:
            twins.laboratory.administer(lambda: Story(twins).tell(rounds))
        finally:
            twins.laboratory.close()
        assert twins.answers.found >= 3 * len(rounds)
