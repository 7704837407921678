"""The locked blob: opens with its key, for its machine, and not otherwise."""

import pytest
from cryptography.hazmat.primitives import keywrap
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_vsphere.model import bundle
from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret

KEK, DEK = Secret(b"k" * 32), Secret(bytes(range(64)))
KEY = CryptoKeyId("kp", "key-1")
BLOB = bundle.lock(KEK, DEK, KEY, "vm-1", "disk")


def test_it_opens_with_its_key() -> None:
    assert bundle.unlock(KEK, BLOB, KEY, "vm-1", "disk") == DEK


def test_two_blobs_of_one_key_differ_and_do_not_show_it() -> None:
    other = bundle.lock(KEK, DEK, KEY, "vm-1", "disk")
    assert other != BLOB
    assert DEK.reveal() not in BLOB


@pytest.mark.parametrize(
    ("kek", "key", "machine", "use"),
    [
        (Secret(b"x" * 32), KEY, "vm-1", "disk"),
        (KEK, CryptoKeyId("kp", "key-2"), "vm-1", "disk"),
        (KEK, CryptoKeyId("kp2", "key-1"), "vm-1", "disk"),
        (KEK, KEY, "vm-2", "disk"),
        (KEK, KEY, "vm-1", "home"),
    ],
    ids=["key bytes", "key id", "provider", "machine", "use"],
)
def test_it_is_bound_to(kek: Secret, key: CryptoKeyId, machine: str, use: str) -> None:
    with pytest.raises(DamagedData):
        bundle.unlock(kek, BLOB, key, machine, use)


@given(st.integers(0, len(BLOB) - 1), st.integers(1, 255))
def test_any_altered_byte_is_noticed(position: int, change: int) -> None:
    altered = bytearray(BLOB)
    altered[position] ^= change
    with pytest.raises(DamagedData):
        bundle.unlock(KEK, bytes(altered), KEY, "vm-1", "disk")


@given(st.integers(0, len(BLOB) - 1))
def test_a_cut_blob_is_noticed(length: int) -> None:
    with pytest.raises(DamagedData):
        bundle.unlock(KEK, BLOB[:length], KEY, "vm-1", "disk")


@given(st.binary(max_size=200))
def test_any_bytes_give_damaged_data(blob: bytes) -> None:
    with pytest.raises(DamagedData):
        bundle.unlock(KEK, blob, KEY, "vm-1", "disk")


@pytest.mark.parametrize(
    ("version", "wrap"),
    [
        (bundle.KEY_WRAP, keywrap.aes_key_wrap),
        (bundle.KEY_WRAP_WITH_PADDING, keywrap.aes_key_wrap_with_padding),
    ],
)
def test_key_wraps_of_other_tools_open(version: int, wrap: object) -> None:
    assert callable(wrap)
    blob = bytes((version,)) + wrap(KEK.reveal(), DEK.reveal())
    assert bundle.unlock(KEK, blob, KEY, "any", "disk") == DEK


def test_a_data_key_of_another_size_is_refused() -> None:
    blob = bytes((bundle.KEY_WRAP,)) + keywrap.aes_key_wrap(KEK.reveal(), bytes(32))
    with pytest.raises(DamagedData, match="32 bytes"):
        bundle.unlock(KEK, blob, KEY, "vm-1", "disk")


def test_a_key_of_another_size_cannot_lock() -> None:
    with pytest.raises(InvalidArgument):
        bundle.lock(Secret(bytes(16)), DEK, KEY, "vm-1", "disk")


def test_associated_data_cannot_be_cut_in_two_ways() -> None:
    first = bundle.associated_data(CryptoKeyId("ab", "c"), "vm", "disk")
    second = bundle.associated_data(CryptoKeyId("a", "bc"), "vm", "disk")
    assert first != second


def test_secrets_do_not_show_and_can_be_erased() -> None:
    secret = Secret(b"sensitive")
    assert "sensitive" not in repr(secret)
    secret.erase()
    with pytest.raises(ValueError, match="erased"):
        secret.reveal()
