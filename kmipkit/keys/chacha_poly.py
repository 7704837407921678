"""ChaCha20-Poly1305 in parts, and with short tags (RFC 8439 §2.8).

The library offers the construction for data in one part with a tag of 16 bytes only. Here it is put
together from its two algorithms, with the interface of the library's cipher contexts.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.poly1305 import Poly1305

TAG_SIZE = 16
_BLOCK = 16


def _key_stream(key: bytes, nonce: bytes, counter: int) -> CipherContext:
    """ChaCha20 from a block of the key stream on."""
    start = counter.to_bytes(4, "little") + nonce
    return Cipher(algorithms.ChaCha20(key, start), None).encryptor()


class _Context:
    """What both directions share: the key stream, and the code over data and ciphertext."""

    def __init__(self, key: bytes, nonce: bytes) -> None:
        # Block 0 is the key of Poly1305; the data begin with block 1 (RFC 8439 §2.6, §2.8).
        self._code = Poly1305(_key_stream(key, nonce, 0).update(bytes(32)))
        self._stream = _key_stream(key, nonce, 1)
        self._additional = 0
        self._length = 0

    def authenticate_additional_data(self, data: bytes) -> None:
        """The additional data, as a whole and before all others."""
        self._additional = len(data)
        self._code.update(data + bytes(-len(data) % _BLOCK))

    def _authenticate(self, ciphertext: bytes) -> None:
        self._length += len(ciphertext)
        self._code.update(ciphertext)

    def _whole_tag(self) -> bytes:
        lengths = self._additional.to_bytes(8, "little") + self._length.to_bytes(8, "little")
        self._code.update(bytes(-self._length % _BLOCK) + lengths)
        return self._code.finalize()


class Encryptor(_Context):
    """Encrypts in parts; the tag is there after the last one."""

    tag: bytes

    def update(self, data: bytes) -> bytes:
        """Encrypt the next part."""
        ciphertext = self._stream.update(data)
        self._authenticate(ciphertext)
        return ciphertext

    def finalize(self) -> bytes:
        """Compute the tag; nothing is left to return."""
        self.tag = self._whole_tag()
        return b""


class Decryptor(_Context):
    """Decrypts in parts; the last one shows whether all are authentic."""

    def __init__(self, key: bytes, nonce: bytes, tag: bytes | None) -> None:
        super().__init__(key, nonce)
        self._tag = tag

    def update(self, data: bytes) -> bytes:
        """Decrypt the next part."""
        self._authenticate(data)
        return self._stream.update(data)

    def finalize(self) -> bytes:
        """Compare the tag that was given at the start; see :meth:`finalize_with_tag`."""
        assert self._tag is not None
        return self.finalize_with_tag(self._tag)

    def finalize_with_tag(self, tag: bytes) -> bytes:
        """Compare the tag, or as much of it as there is. InvalidTag if it is wrong."""
        if not bytes_eq(self._whole_tag()[: len(tag)], tag):
            raise InvalidTag
        return b""


class ChaChaPoly:
    """The cipher, like :class:`~cryptography.hazmat.primitives.ciphers.Cipher`."""

    def __init__(self, key: bytes, nonce: bytes, tag: bytes | None = None) -> None:
        self._key, self._nonce, self._tag = key, nonce, tag

    def encryptor(self) -> Encryptor:
        """A new encryption."""
        return Encryptor(self._key, self._nonce)

    def decryptor(self) -> Decryptor:
        """A new decryption, with the tag if it is known."""
        return Decryptor(self._key, self._nonce, self._tag)
