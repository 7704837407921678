"""Undo reaches operations in several parts: a part that was undone can be repeated (KMIP 2.1 §9.6)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls, symmetric_key
from kmipkit_client.calls import Call
from laboratory import Laboratory, reasons

from kmipkit.keys.streaming import MAX_REPLAYED
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads.crypto import (
    DecryptRequest,
    EncryptRequest,
    HashRequest,
    MACRequest,
    MACVerifyRequest,
)
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    BlockCipherMode,
    CryptographicAlgorithm,
    HashingAlgorithm,
    Operation,
    PaddingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask

UNDO = BatchErrorContinuationOption.UNDO
MISSING = calls.get("no such object", None, None, None)
HASH = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
PARTS = (b"a" * 20, b"b" * 33, b"c" * 50)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path)
    yield made
    made.close()


@pytest.fixture
def key(laboratory: Laboratory) -> str:
    mask = CryptographicUsageMask
    usage = mask.ENCRYPT | mask.DECRYPT | mask.MAC_GENERATE | mask.MAC_VERIFY
    value = symmetric_key(bytes(16))
    identifier: str = laboratory.ask(calls.register(value, usage, None, None))
    laboratory.ask(calls.activate(identifier))
    return identifier


def cipher(mode: BlockCipherMode, **fields: Any) -> dict[str, Any]:
    return {
        "cryptographic_parameters": CryptographicParameters(block_cipher_mode=mode, **fields),
        "iv_counter_nonce": bytes(12 if mode is BlockCipherMode.GCM else 16),
    }


Make = Callable[[str, dict[str, Any]], Call[Any]]


def _of(operation: Operation, request: Any, **first: Any) -> Make:
    def make(key: str, fields: dict[str, Any]) -> Call[Any]:
        values = {**fields, **(first if fields.get("init_indicator") else {})}
        if operation is Operation.HASH:
            values |= first  # every part of a hash has its parameters
        else:
            values["unique_identifier"] = key
        return calls.raw(operation, request(**values))

    return make


CBC = cipher(BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5)
OPERATIONS: dict[str, Make] = {
    "Encrypt, CTR": _of(Operation.ENCRYPT, EncryptRequest, **cipher(BlockCipherMode.CTR)),
    "Encrypt, CBC": _of(Operation.ENCRYPT, EncryptRequest, **CBC),
    "Encrypt, GCM": _of(
        Operation.ENCRYPT, EncryptRequest, **cipher(BlockCipherMode.GCM, tag_length=16)
    ),
    "Decrypt, CTR": _of(Operation.DECRYPT, DecryptRequest, **cipher(BlockCipherMode.CTR)),
    "MAC": _of(
        Operation.MAC,
        MACRequest,
        cryptographic_parameters=CryptographicParameters(
            cryptographic_algorithm=CryptographicAlgorithm.HMAC_SHA256
        ),
    ),
    "MAC Verify": _of(
        Operation.MAC_VERIFY,
        MACVerifyRequest,
        mac_data=bytes(32),
        cryptographic_parameters=CryptographicParameters(
            cryptographic_algorithm=CryptographicAlgorithm.HMAC_SHA256
        ),
    ),
    "Hash": _of(Operation.HASH, HashRequest, cryptographic_parameters=HASH),
}


def run(laboratory: Laboratory, make: Make, key: str, *, undone: bool) -> list[Any]:
    """The responses to three parts, each of which is undone once before if ``undone``."""
    responses: list[Any] = []
    value = None
    for number, data in enumerate(PARTS):
        fields: dict[str, Any] = {"data": data}
        if number == 0:
            fields["init_indicator"] = True
        else:
            fields["correlation_value"] = value
        if number == len(PARTS) - 1:
            fields["final_indicator"] = True
        call = make(key, fields)
        if undone and number > 0:
            for _ in range(2):
                assert reasons(laboratory.batch(call, MISSING, on_error=UNDO))[-1]
        response = laboratory.ask(call)
        value = response.correlation_value or value
        responses.append(response.replace(correlation_value=None))
    return responses


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_part_that_was_undone_can_be_repeated(
    laboratory: Laboratory, key: str, name: str
) -> None:
    make = OPERATIONS[name]
    assert run(laboratory, make, key, undone=True) == run(laboratory, make, key, undone=False)


def begin(laboratory: Laboratory, key: str, data: bytes) -> bytes:
    call = OPERATIONS["Encrypt, CTR"](key, {"data": data, "init_indicator": True})
    value: bytes = laboratory.ask(call).correlation_value
    return value


def test_different_data_is_not_encrypted_with_the_same_key_stream(
    laboratory: Laboratory, key: str
) -> None:
    make, value = OPERATIONS["Encrypt, CTR"], begin(laboratory, key, b"data")
    first = make(key, {"data": b"first", "correlation_value": value})
    other = make(key, {"data": b"other", "correlation_value": value})
    laboratory.batch(first, MISSING, on_error=UNDO)
    assert reasons(laboratory.batch(other)) == ["INVALID_CORRELATION_VALUE"]
    again = laboratory.ask(first)
    assert again.correlation_value == value
    assert not isinstance(laboratory.batch(other)[0], OperationFailed)


def test_a_long_encryption_ends_with_an_undone_part(laboratory: Laboratory, key: str) -> None:
    value = begin(laboratory, key, bytes(MAX_REPLAYED + 1))
    call = OPERATIONS["Encrypt, CTR"](key, {"data": b"more", "correlation_value": value})
    laboratory.batch(call, MISSING, on_error=UNDO)
    assert reasons(laboratory.batch(call)) == ["INVALID_CORRELATION_VALUE"]


def test_the_first_part_of_an_undone_batch_leaves_nothing(laboratory: Laboratory, key: str) -> None:
    for make in OPERATIONS.values():
        call = make(key, {"data": b"data", "init_indicator": True})
        laboratory.batch(call, MISSING, on_error=UNDO)
    assert not laboratory.state.computations
