"""Wrapped keys with a MAC or signature: in every method what leaves comes back, and is not altered."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls, crypto_calls, symmetric_key
from laboratory import Laboratory

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.keyblock import (
    EncryptionKeyInformation,
    KeyBlock,
    KeyValue,
    KeyWrappingSpecification,
    MACSignatureKeyInformation,
)
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    EncodingOption,
    HashingAlgorithm,
    KeyWrapType,
    ResultReason,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask as M

A, W = CryptographicAlgorithm, WrappingMethod
KEY = bytes(range(32))
METHODS = (W.MAC_SIGN, W.ENCRYPT_THEN_MAC_SIGN, W.MAC_SIGN_THEN_ENCRYPT)


class Keys:
    """A laboratory with a key to wrap, one that wraps, and two that authenticate."""

    def __init__(self, folder: Path) -> None:
        self.laboratory = laboratory = Laboratory(folder)
        ask = laboratory.ask
        self.key = ask(calls.register(symmetric_key(KEY, A.AES), M.ENCRYPT, None, None))
        wraps = M.WRAP_KEY | M.UNWRAP_KEY
        self.kek = ask(calls.register(symmetric_key(bytes(16), A.AES), wraps, None, None))
        codes = M.MAC_GENERATE | M.MAC_VERIFY
        mac = symmetric_key(b"m" * 32, A.HMAC_SHA256)
        self.mac = ask(calls.register(mac, codes, None, None))
        pair = ask(
            crypto_calls.create_key_pair(A.ECDSA, 256, None, (M.SIGN, M.VERIFY), (None, None), None)
        )
        self.signing = pair.private
        for key in (self.kek, self.mac, pair.private, pair.public):
            ask(calls.activate(key))

    def specification(self, method: W, by: str, **fields: Any) -> KeyWrappingSpecification:
        encrypts = EncryptionKeyInformation(
            unique_identifier=self.kek,
            cryptographic_parameters=CryptographicParameters(
                block_cipher_mode=BlockCipherMode.NISTKEYWRAP
            ),
        )
        parameters = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
        signs = MACSignatureKeyInformation(
            unique_identifier=by,
            cryptographic_parameters=parameters if by == self.signing else None,
        )
        return KeyWrappingSpecification(
            wrapping_method=method,
            encryption_key_information=None if method is W.MAC_SIGN else encrypts,
            mac_signature_key_information=signs,
            **fields,
        )

    def get(self, specification: KeyWrappingSpecification) -> Any:
        return self.laboratory.ask(calls.get(self.key, None, None, specification))

    def back(self, value: Any) -> Any:
        """Registered again, and asked for unwrapped."""
        kept = self.laboratory.ask(calls.register(value, M.ENCRYPT, None, None))
        return self.laboratory.ask(calls.get(kept, None, KeyWrapType.NOT_WRAPPED, None))


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    keys = Keys(tmp_path / "data")
    yield keys
    keys.laboratory.close()


@pytest.mark.parametrize("option", [EncodingOption.NO_ENCODING, EncodingOption.TTLV_ENCODING])
@pytest.mark.parametrize("by", ["mac", "signing"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_what_leaves_comes_back_and_any_change_is_noticed(
    keys: Keys, method: W, by: str, option: EncodingOption
) -> None:
    specification = keys.specification(method, getattr(keys, by), encoding_option=option)
    value = keys.get(specification)
    block: KeyBlock = value.key_block
    data = block.key_wrapping_data
    assert data is not None
    assert data.mac_signature
    assert isinstance(block.key_value, KeyValue) == (method is W.MAC_SIGN)
    assert keys.back(value).key_block.key_value.key_material == KEY
    forged = data.replace(mac_signature=bytes([data.mac_signature[0] ^ 1]) + data.mac_signature[1:])
    with pytest.raises(OperationFailed) as error:
        keys.back(value.replace(key_block=block.replace(key_wrapping_data=forged)))
    assert error.value.reason is ResultReason.CRYPTOGRAPHIC_FAILURE


def test_a_sensitive_key_does_not_leave_with_a_mac_alone(keys: Keys) -> None:
    call = calls.register(symmetric_key(KEY, A.AES), M.ENCRYPT, None, {"Sensitive": True})
    keys.key = keys.laboratory.ask(call)
    with pytest.raises(OperationFailed) as error:
        keys.get(keys.specification(W.MAC_SIGN, keys.mac))
    assert error.value.reason is ResultReason.SENSITIVE
    assert keys.get(keys.specification(W.ENCRYPT_THEN_MAC_SIGN, keys.mac))


def test_a_method_without_its_keys_is_refused(keys: Keys) -> None:
    whole = keys.specification(W.ENCRYPT_THEN_MAC_SIGN, keys.mac)
    for poor in (
        whole.replace(mac_signature_key_information=None),
        whole.replace(encryption_key_information=None),
        whole.replace(wrapping_method=W.MAC_SIGN),
    ):
        with pytest.raises(OperationFailed) as error:
            keys.get(poor)
        assert error.value.reason is ResultReason.INVALID_FIELD
