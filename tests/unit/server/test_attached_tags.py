"""Before 1.4, the tag of an authenticated mode follows the data; from 1.4 on it has its own field."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kmipkit_client import OperationFailed, calls, symmetric_key
from laboratory import Laboratory
from raw_messages import enumeration, request, send, structure, text, values

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.keyblock import EncryptionKeyInformation, KeyWrappingData
from kmipkit.model.payloads.crypto import (
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
)
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    EncodingOption,
    Operation,
    ResultReason,
    ResultStatus,
    WrappingMethod,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2, V1_3, V1_4, Version
from kmipkit.ttlv.tree import Item

KEY = bytes(range(32))
IV = bytes(12)
DATA = b"a database key, and somewhat more than one block of it"
A = CryptographicAlgorithm
MASK = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT

GCM = CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM)
MODES = [
    pytest.param(A.AES, GCM, 16, id="GCM"),
    pytest.param(A.AES, GCM.replace(tag_length=12), 12, id="GCM with 12 bytes"),
    pytest.param(
        A.AES,
        CryptographicParameters(block_cipher_mode=BlockCipherMode.CCM, tag_length=8),
        8,
        id="CCM",
    ),
    pytest.param(A.CHACHA20POLY1305, None, 16, id="ChaCha20-Poly1305"),
]


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path)
    yield laboratory
    laboratory.close()


def key(laboratory: Laboratory, algorithm: CryptographicAlgorithm = A.AES) -> str:
    value = symmetric_key(KEY, algorithm)
    identifier: str = laboratory.ask(calls.register(value, MASK, None, None))
    laboratory.ask(calls.activate(identifier))
    return identifier


def encrypt(laboratory: Laboratory, version: Version, request: EncryptRequest) -> EncryptResponse:
    response: EncryptResponse = laboratory.ask(calls.raw(Operation.ENCRYPT, request), version)
    return response


def decrypt(laboratory: Laboratory, version: Version, request: DecryptRequest) -> DecryptResponse:
    response: DecryptResponse = laboratory.ask(calls.raw(Operation.DECRYPT, request), version)
    return response


@pytest.mark.parametrize("version", [V1_2, V1_3], ids=str)
@pytest.mark.parametrize(("algorithm", "parameters", "length"), MODES)
def test_what_is_encrypted_before_1_4_can_be_decrypted(
    laboratory: Laboratory,
    algorithm: CryptographicAlgorithm,
    parameters: CryptographicParameters | None,
    length: int,
    version: Version,
) -> None:
    common = {
        "unique_identifier": key(laboratory, algorithm),
        "cryptographic_parameters": parameters,
        "iv_counter_nonce": IV,
    }
    old = encrypt(laboratory, version, EncryptRequest(**common, data=DATA))
    new = encrypt(laboratory, V1_4, EncryptRequest(**common, data=DATA))
    assert new.data is not None
    assert new.authenticated_encryption_tag is not None
    assert len(new.authenticated_encryption_tag) == length
    assert old.data == new.data + new.authenticated_encryption_tag
    request = DecryptRequest(**common, data=old.data)
    assert decrypt(laboratory, version, request).data == DATA
    for damaged in (old.data[:-1] + bytes([old.data[-1] ^ 1]), old.data[: length - 1]):
        with pytest.raises(OperationFailed):
            decrypt(laboratory, version, request.replace(data=damaged))


@pytest.mark.parametrize(("algorithm", "parameters", "length"), [*MODES[:2], MODES[3]])
@pytest.mark.parametrize("size", [1, 5, 16, 200])
def test_the_tag_follows_the_last_part(
    laboratory: Laboratory,
    algorithm: CryptographicAlgorithm,
    parameters: CryptographicParameters | None,
    length: int,
    size: int,
) -> None:
    common = {
        "cryptographic_parameters": parameters,
        "unique_identifier": key(laboratory, algorithm),
    }

    def process(data: bytes, *, decrypts: bool) -> bytes:
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        correlation, output = None, b""
        for index, part in enumerate(parts):
            is_first, is_last = index == 0, index == len(parts) - 1
            fields = {
                **common,
                "data": part,
                "iv_counter_nonce": IV if is_first else None,
                "correlation_value": correlation,
                "init_indicator": True if is_first else None,
                "final_indicator": True if is_last else None,
            }
            response = (
                decrypt(laboratory, V1_3, DecryptRequest(**fields))
                if decrypts
                else encrypt(laboratory, V1_3, EncryptRequest(**fields))
            )
            correlation = response.correlation_value
            output += response.data or b""
        return output

    encrypted = process(DATA, decrypts=False)
    assert len(encrypted) == len(DATA) + length
    assert process(encrypted, decrypts=True) == DATA
    with pytest.raises(OperationFailed):
        process(encrypted[:-1] + bytes([encrypted[-1] ^ 1]), decrypts=True)
    with pytest.raises(OperationFailed):
        process(encrypted[:7], decrypts=True)


def test_parts_are_refused_where_a_response_has_no_correlation_value(
    laboratory: Laboratory,
) -> None:
    payload = structure(
        Tag.REQUEST_PAYLOAD,
        text(Tag.UNIQUE_IDENTIFIER, key(laboratory)),
        structure(
            Tag.CRYPTOGRAPHIC_PARAMETERS, enumeration(Tag.BLOCK_CIPHER_MODE, BlockCipherMode.CTR)
        ),
        Item(Tag.DATA, ItemType.BYTE_STRING, DATA),
        Item(Tag.IV_COUNTER_NONCE, ItemType.BYTE_STRING, bytes(16)),
        Item(Tag.INIT_INDICATOR, ItemType.BOOLEAN, True),
    )
    assert isinstance(payload.value, tuple)
    answer = send(laboratory, request(V1_2, (Operation.ENCRYPT, list(payload.value))))
    assert values(answer, Tag.RESULT_REASON) == [ResultReason.INVALID_FIELD]


def test_a_wrapped_key_without_encoding_is_refused_in_1_0(laboratory: Laboratory) -> None:
    wrapping = KeyWrappingData(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(unique_identifier=key(laboratory)),
        encoding_option=EncodingOption.NO_ENCODING,
    )
    block = symmetric_key(KEY).key_block.replace(key_value=bytes(40), key_wrapping_data=wrapping)
    value = symmetric_key(KEY).replace(key_block=block)
    identifier = laboratory.ask(calls.register(value, MASK, None, None))
    for version, status in (
        (V1_0, ResultStatus.OPERATION_FAILED),
        (V1_1, ResultStatus.SUCCESS),
    ):
        named = text(Tag.UNIQUE_IDENTIFIER, identifier)
        answer = send(laboratory, request(version, (Operation.GET, [named])))
        assert values(answer, Tag.RESULT_STATUS) == [status]
