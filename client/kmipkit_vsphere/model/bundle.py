"""The locked blob: a data key wrapped by a key-encryption key, beside a machine's files.

A blob is one version byte and what that version defines; :data:`FORMATS` is the table. New blobs
are always version 1, AES-256-GCM, which binds the blob to provider, key and machine: moved to
another machine it does not open. The key-wrap versions open blobs that other tools made; RFC 3394
and RFC 5649 take no associated data, so those are bound to the key alone.

This is our own layout inside the public grammar of locators; what ESXi has there is not published.
"""

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from kmipkit.errors import OperationError
from kmipkit.keys import cipher, wrap
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm
from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument
from kmipkit_vsphere.model.keys import DEK_SIZE, CryptoKeyId, Secret

KEK_SIZE: Final = 32
GCM, KEY_WRAP, KEY_WRAP_WITH_PADDING = 1, 2, 3

_NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16
_MAX_BLOB: Final = 1024
_GCM_PARAMETERS: Final = Parameters(
    block_cipher_mode=BlockCipherMode.GCM,
    random_iv=True,
    iv_length=_NONCE_SIZE * 8,
    tag_length=_TAG_SIZE,
)


class Format(NamedTuple):
    """How a version of the blob opens: KEK, body and associated data to the data key."""

    name: str
    open: Callable[[bytes, bytes, bytes], bytes]


def associated_data(key_id: CryptoKeyId, machine_id: str, use: str) -> bytes:
    """What a blob is bound to; each part behind its length, so that it is read in one way only."""
    parts = (key_id.provider_id, key_id.key_id, machine_id, use)
    encoded = [part.encode() for part in parts]
    return b"kmipkit-bundle" + b"".join(len(p).to_bytes(4, "big") + p for p in encoded)


def lock(kek: Secret, dek: Secret, key_id: CryptoKeyId, machine_id: str, use: str) -> bytes:
    """Wrap a data key into a new blob, for one ``use`` (``home`` or ``disk``) in one machine."""
    _check_kek(kek)
    made = cipher.encrypt(
        kek.reveal(),
        CryptographicAlgorithm.AES,
        _GCM_PARAMETERS,
        dek.reveal(),
        additional_data=associated_data(key_id, machine_id, use),
        random=secrets.token_bytes,
    )
    return b"".join((bytes((GCM,)), made.iv or b"", made.data, made.tag or b""))


def unlock(kek: Secret, blob: bytes, key_id: CryptoKeyId, machine_id: str, use: str) -> Secret:
    """The data key (64 bytes) from a blob.

    Raises :class:`DamagedData` where the KEK is another one, the blob was altered, cut or moved
    from another machine, and for versions that this program does not know.
    """
    _check_kek(kek)
    try:
        dek = unwrap(kek.reveal(), blob, associated_data(key_id, machine_id, use))
    except DamagedData as damage:
        raise DamagedData(
            f"the locked key does not open with key {key_id} ({damage}): it was altered, belongs "
            "to another machine, or the key server gave another key"
        ) from None
    if len(dek) != DEK_SIZE:
        raise DamagedData(f"the locked key has {len(dek)} bytes instead of {DEK_SIZE}")
    return Secret(dek)


def unwrap(kek: bytes, blob: bytes, bound_to: bytes = b"") -> bytes:
    """What a blob holds, of whatever size; :class:`DamagedData` if ``kek`` does not open it."""
    if not blob or len(blob) > _MAX_BLOB or blob[0] not in FORMATS:
        raise DamagedData("empty, too long, or of a version not known here")
    form = FORMATS[blob[0]]
    try:
        return form.open(kek, blob[1:], bound_to)
    except OperationError as failure:
        raise DamagedData(f"{form.name}: {failure.message}") from None


def _check_kek(kek: Secret) -> None:
    if len(kek) != KEK_SIZE:
        raise InvalidArgument(f"a key-encryption key has {KEK_SIZE} bytes, not {len(kek)}")


def _open_gcm(kek: bytes, body: bytes, bound_to: bytes) -> bytes:
    nonce, data, tag = body[:_NONCE_SIZE], body[_NONCE_SIZE:-_TAG_SIZE], body[-_TAG_SIZE:]
    return cipher.decrypt(
        kek,
        CryptographicAlgorithm.AES,
        _GCM_PARAMETERS,
        data,
        iv=nonce,
        additional_data=bound_to,
        tag=tag,
    )


def _open_key_wrap(kek: bytes, body: bytes, _bound_to: bytes) -> bytes:
    return wrap.unwrap(kek, Parameters(block_cipher_mode=BlockCipherMode.NISTKEYWRAP), body)


def _open_padded(kek: bytes, body: bytes, _bound_to: bytes) -> bytes:
    mode = BlockCipherMode.AESKEYWRAPPADDING
    return wrap.unwrap(kek, Parameters(block_cipher_mode=mode), body)


FORMATS: Mapping[int, Format] = MappingProxyType(
    {
        GCM: Format("AES-256-GCM", _open_gcm),
        KEY_WRAP: Format("AES key wrap, RFC 3394", _open_key_wrap),
        KEY_WRAP_WITH_PADDING: Format("AES key wrap with padding, RFC 5649", _open_padded),
    }
)
"""Version byte to how the rest is opened."""
