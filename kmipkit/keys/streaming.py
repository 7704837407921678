"""Encryption and decryption in parts (KMIP 1.4 §4.29, §4.30: Init and Final Indicator).

The rules are those of single parts. Data that do not fill a block wait for the next part; if
the mode pads, a decryption also holds back the last block, which may be padding. With a tag, a
decryption in parts returns data before the tag is checked: only the last part shows whether they
are authentic.
"""

from dataclasses import dataclass
from typing import Any

from kmipkit.errors import OperationError
from kmipkit.keys._border import foreign_errors
from kmipkit.keys.cipher import (
    ENCRYPTION_FAILED,
    Encrypted,
    Prepared,
    check_whole_blocks,
    prepare_decryption,
    prepare_encryption,
)
from kmipkit.keys.padding import DECRYPTION_FAILED, Random, pad, unpad
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import CryptographicAlgorithm, PaddingMethod, ResultReason


@dataclass(slots=True)
class _Parts:
    """What both directions share: the cipher, and the bytes that wait for the next part."""

    prepared: Prepared
    parameters: Parameters
    context: Any
    waiting: bytes = b""
    total: int = 0

    def advance(self, data: bytes, hold: int, failure: str) -> bytes:
        """Process all complete blocks, except for the last ``hold`` bytes."""
        self.total += len(data)
        rule = self.prepared.rule
        rule.expand(self.prepared.iv, self.parameters, self.total)  # fails if the counter overflows
        self.waiting += data
        prepared = len(self.waiting)
        if rule.pads:
            prepared = max(prepared - hold, 0) // rule.block * rule.block
        complete, self.waiting = self.waiting[:prepared], self.waiting[prepared:]
        with foreign_errors(failure):
            out: bytes = self.context.update(complete)
        return out


class Encryption:
    """An encryption in several parts."""

    def __init__(
        self,
        key: bytes,
        algorithm: CryptographicAlgorithm,
        parameters: Parameters,
        *,
        iv: bytes | None,
        additional_data: bytes,
        random: Random,
    ) -> None:
        """Errors as of :func:`kmipkit.keys.cipher.encrypt`; Feature Not Supported for a mode that
        needs all data at once."""
        prepared = prepare_encryption(key, algorithm, parameters, iv, additional_data, random)
        self._random = random
        self._parts = _Parts(
            prepared, parameters, _cipher(prepared, key, parameters, None).encryptor()
        )
        if prepared.rule.tag_lengths:
            self._parts.context.authenticate_additional_data(additional_data)
        self._iv = prepared.generated_iv

    def update(self, data: bytes) -> Encrypted:
        """Encrypt the next part; a generated IV is returned with the first."""
        ciphertext = self._parts.advance(data, 0, ENCRYPTION_FAILED)
        iv, self._iv = self._iv, None
        return Encrypted(data=ciphertext, iv=iv)

    def finish(self, data: bytes) -> Encrypted:
        """Encrypt the last part."""
        encrypted = self.update(data)
        parts, prepared = self._parts, self._parts.prepared
        padded = b""
        if prepared.rule.pads:
            padded = pad(prepared.padding, parts.waiting, prepared.rule.block, self._random)
        with foreign_errors(ENCRYPTION_FAILED):
            end: bytes = parts.context.update(padded) + parts.context.finalize()
        tag = parts.context.tag[: prepared.tag_length] if prepared.rule.tag_lengths else None
        return Encrypted(data=encrypted.data + end, iv=encrypted.iv, tag=tag)


class Decryption:
    """A decryption in several parts."""

    def __init__(
        self,
        key: bytes,
        algorithm: CryptographicAlgorithm,
        parameters: Parameters,
        *,
        iv: bytes | None,
        additional_data: bytes,
        tag: bytes | None,
        tag_length: int = 0,
    ) -> None:
        """Errors as of :class:`Encryption`.

        The tag comes with the first part (KMIP 2.1 §6.1.11), or is the end of the last part, if it has
        a ``tag_length``.
        """
        prepared = prepare_decryption(
            key, algorithm, parameters, iv, additional_data, tag, tag_follows=tag_length > 0
        )
        self._tag_length = tag_length
        self._end = b""
        self._parts = _Parts(
            prepared, parameters, _cipher(prepared, key, parameters, tag).decryptor()
        )
        if prepared.rule.tag_lengths:
            self._parts.context.authenticate_additional_data(additional_data)
        self._hold = 0 if prepared.padding == PaddingMethod.NONE else 1

    def update(self, data: bytes) -> bytes:
        """Decrypt the next part, and return the data that are complete."""
        if self._tag_length:
            data = self._end + data
            data, self._end = data[: -self._tag_length], data[-self._tag_length :]
        return self._parts.advance(data, self._hold, DECRYPTION_FAILED)

    def finish(self, data: bytes) -> bytes:
        """Decrypt the last part; Cryptographic Failure if padding or tag are wrong."""
        decrypted = self.update(data)
        parts, prepared = self._parts, self._parts.prepared
        if prepared.rule.pads:
            check_whole_blocks(prepared.rule, len(parts.waiting))
        if len(self._end) < self._tag_length:
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"Data has {len(self._end)} bytes, but ends with a tag of {self._tag_length} bytes",
            )
        with foreign_errors(DECRYPTION_FAILED):
            end = parts.context.update(parts.waiting)
            if self._tag_length:
                end += parts.context.finalize_with_tag(self._end)
            else:
                end += parts.context.finalize()
        return decrypted + (
            unpad(prepared.padding, end, prepared.rule.block) if prepared.rule.pads else end
        )


def _cipher(prepared: Prepared, key: bytes, parameters: Parameters, tag: bytes | None) -> Any:
    make_cipher = prepared.rule.in_parts
    if make_cipher is None:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, "this mode needs all data in one part"
        )
    with foreign_errors(ENCRYPTION_FAILED):
        return make_cipher(key, prepared.rule.expand(prepared.iv, parameters, 0), tag)
