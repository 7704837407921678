"""Encrypt and Decrypt with prepared answers respond as they do without: the same bytes.

A loss otherwise: data that is encrypted with another key or IV than the response says, so that nobody
can decrypt it; a key that is used after it was revoked, or beyond its Protect Stop Date; the data of
another client in a response.
"""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import trio
from hypothesis import given, settings, target
from hypothesis import strategies as st
from kmipkit_client import calls, secret_data, symmetric_key
from kmipkit_client import messages as client_messages
from kmipkit_client.calls import Call
from laboratory import START
from lengths import examples
from prepared_comparison import Comparison

from kmipkit.keys import cipher
from kmipkit.keys.parameters import Parameters
from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.codec import encode
from kmipkit.model.payloads.crypto import DecryptRequest, EncryptRequest
from kmipkit.model.payloads.lifecycle import ArchiveRequest, RecoverRequest
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    Operation,
    PaddingMethod,
    RevocationReasonCode,
    UsageLimitsUnit,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V1_4, V2_1, V3_0

AES = CryptographicAlgorithm.AES
BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
KEY = bytes(range(16))
ACTIVE = {Tag.ACTIVATION_DATE: START - timedelta(days=1)}
IN_TWO_SECONDS = START + timedelta(seconds=2)
LIMITS = UsageLimits(usage_limits_total=40, usage_limits_unit=UsageLimitsUnit.BYTE)


def key(mask: CryptographicUsageMask = BOTH, **more: Any) -> Call[str]:
    attributes = {Tag[name]: value for name, value in more.items()} | ACTIVE
    return calls.register(symmetric_key(KEY), mask, None, attributes)


OBJECTS: tuple[Call[str], ...] = (
    key(),
    key(PROTECT_STOP_DATE=START),
    key(PROTECT_STOP_DATE=IN_TWO_SECONDS),
    key(PROCESS_START_DATE=IN_TWO_SECONDS),
    key(DEACTIVATION_DATE=IN_TWO_SECONDS),
    key(CryptographicUsageMask.DECRYPT),
    key(USAGE_LIMITS=LIMITS),
    calls.register(secret_data(KEY), BOTH, None, ACTIVE),
)

CHANGES: tuple[Callable[[str], Call[Any]], ...] = (
    lambda identifier: calls.revoke(
        identifier, RevocationReasonCode.CESSATION_OF_OPERATION, None, None
    ),
    lambda identifier: calls.raw(Operation.ARCHIVE, ArchiveRequest(unique_identifier=identifier)),
    lambda identifier: calls.raw(Operation.RECOVER, RecoverRequest(unique_identifier=identifier)),
    lambda identifier: calls.set_attribute(
        identifier, Tag.PROTECT_STOP_DATE, START + timedelta(seconds=1)
    ),
)

MODES = (
    CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM),
    CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM, random_iv=True),
    CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM, tag_length=12),
    CryptographicParameters(block_cipher_mode=BlockCipherMode.ECB),
    CryptographicParameters(
        block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5
    ),
    CryptographicParameters(block_cipher_mode=BlockCipherMode.CTR, initial_counter_value=1),
    CryptographicParameters(
        cryptographic_algorithm=CryptographicAlgorithm.CHACHA20,
    ),
)

_values = {
    "data": st.sampled_from([b"", b"1", b"sixteen bytes...", bytes(16), bytes(range(48))]),
    "iv_counter_nonce": st.sampled_from([None, bytes(12), b"twelve bytes", bytes(16)]),
    "authenticated_encryption_additional_data": st.sampled_from([None, None, b"", b"1", b"2"]),
}


@st.composite
def uses(draw: st.DrawFn) -> tuple[Any, ...]:
    """Requests with the same parameters: an operation, a version, and the values of each."""
    version = draw(st.sampled_from([V1_2, V1_4, V1_4, V2_1, V3_0]))
    mode = draw(st.sampled_from(MODES))
    first = {name: draw(values) for name, values in _values.items()}
    if version < V1_4:
        del first["authenticated_encryption_additional_data"]
    alike = []
    for _ in range(draw(st.integers(2, 5))):
        # The same lengths, with other contents.
        mask = draw(st.sampled_from([0, 0, 1, 255]))
        alike.append(
            {
                name: None if value is None else bytes(byte ^ mask for byte in value)
                for name, value in first.items()
            }
        )
    decrypts, spoils = draw(st.booleans()), draw(st.sampled_from([False, False, True]))
    name = draw(st.sampled_from(["me", "me", "me", "other"]))
    return decrypts, version, mode, alike, spoils, name


_number = st.sampled_from([0, 0, *range(len(OBJECTS))])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("use"), _number, uses()),
        st.tuples(st.just("use"), _number, uses()),
        st.tuples(st.just("change"), _number, st.sampled_from(CHANGES)),
        st.tuples(st.just("again"), _number, st.none()),
        st.tuples(st.just("wait"), _number, st.none()),
    ),
    min_size=3,
    max_size=16,
)


def message(
    identifier: str, decrypts: bool, version: Any, mode: Any, values: dict[str, Any], spoils: bool
) -> bytes:
    """A request; the ciphertext of a Decrypt is that of the values, if they can be encrypted."""
    fields = {
        "unique_identifier": identifier,
        "cryptographic_parameters": mode,
        **{name: value for name, value in values.items() if value is not None},
    }
    if decrypts:
        fields |= encrypted(version, mode, values, spoils)
        call = calls.raw(Operation.DECRYPT, DecryptRequest(**fields))
    else:
        call = calls.raw(Operation.ENCRYPT, EncryptRequest(**fields))
    request = client_messages.request(version, [call])
    return encode(request, version, strict=False)


def encrypted(version: Any, mode: Any, values: dict[str, Any], spoils: bool) -> dict[str, Any]:
    try:
        result = cipher.encrypt(
            KEY,
            AES,
            Parameters.of(mode),
            values["data"],
            iv=values["iv_counter_nonce"] or bytes(12),
            additional_data=values.get("authenticated_encryption_additional_data") or b"",
            random=bytes,
        )
    except Exception:
        return {}  # the server refuses it in either way
    tag = None if result.tag is None else bytes([result.tag[0] ^ spoils]) + result.tag[1:]
    if version < V1_4:
        return {"data": result.data + (tag or b"")}
    return {"data": result.data, "authenticated_encryption_tag": tag}


async def carry_out(comparison: Comparison, steps: list[Any]) -> None:
    async with comparison.laboratory.serving():
        keys = [await comparison.change(call) for call in OBJECTS]
        assert None not in keys
        comparison.draws_zeros = True
        asked_before: list[tuple[bytes, str]] = []
        for kind, number, detail in steps:
            if kind == "use":
                decrypts, version, mode, alike, spoils, name = detail
                for position, values in enumerate(alike):
                    is_spoiled = spoils and position > 2
                    data = message(keys[number], decrypts, version, mode, values, is_spoiled)
                    asked_before.append((data, name))
                    await comparison.ask(data, name)
            elif kind == "change":
                comparison.draws_zeros = False
                await comparison.change(detail(keys[number]))
                comparison.draws_zeros = True
            elif kind == "wait":
                comparison.laboratory.pass_time(seconds=1)
            for data, name in asked_before[-4:] if kind != "use" else ():
                await comparison.ask(data, name)
                await comparison.ask(data, name)


@settings(max_examples=examples(80))
@given(_steps)
def test_prepared_ciphers_answer_as_the_ordinary_way_does(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(Path(folder))
        try:
            trio.run(carry_out, comparison, steps)
        finally:
            comparison.laboratory.close()
        target(comparison.answers.found)


def test_most_of_these_answers_are_prepared() -> None:
    """The test above compares something: requests that differ in their values are answered so."""
    alike = [
        {"data": bytes([number]) * 48, "iv_counter_nonce": bytes([number]) * 12}
        for number in range(8)
    ]
    steps = [
        ("use", 0, (decrypts, version, mode, alike, False, "me"))
        for decrypts in (False, True)
        for version in (V1_2, V1_4, V2_1, V3_0)
        for mode in MODES[:3]
        if not (decrypts and mode.random_iv)
    ]
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(Path(folder))
        try:
            trio.run(carry_out, comparison, steps)
        finally:
            comparison.laboratory.close()
        assert comparison.answers.found == 6 * len(steps)
