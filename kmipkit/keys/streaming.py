"""Encryption and decryption in parts (KMIP 1.4 §4.29, §4.30: Init and Final Indicator).

The rules are those of single parts. Data that do not fill a block wait for the next part; if
the mode pads, a decryption also holds back the last block, which may be padding. With a tag, a
decryption in parts returns data before the tag is checked: only the last part shows whether they
are authentic.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

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

MAX_REPLAYED = 64 * 1024
"""How many bytes an encryption or decryption can have processed if it is to be copied."""


@dataclass(slots=True)
class _Parts:
    """What both directions share: the cipher, and the bytes that wait for the next part.

    The library cannot copy a cipher. So a copy is a new cipher that processes the same bytes again,
    which are kept as long as they are few.
    """

    prepared: Prepared
    parameters: Parameters
    make: Callable[[], Any]
    context: Any = None
    waiting: bytes = b""
    total: int = 0
    processed: bytes | None = b""
    """The bytes that the cipher has processed; ``None`` if they are too many."""

    def __post_init__(self) -> None:
        if self.context is None:
            self.context = self.make()

    def copy(self) -> "_Parts | None":
        """A copy that changes independently; ``None`` if the cipher has processed too much."""
        if self.processed is None:
            return None
        copy = replace(self, context=self.make())
        copy.context.update(self.processed)
        return copy

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
        if self.processed is not None:
            is_short = len(self.processed) + len(complete) <= MAX_REPLAYED
            self.processed = self.processed + complete if is_short else None
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

        def make() -> Any:
            context = _cipher(prepared, key, parameters, None).encryptor()
            if prepared.rule.tag_lengths:
                context.authenticate_additional_data(additional_data)
            return context

        self._parts = _Parts(prepared, parameters, make)
        self._iv = prepared.generated_iv

    def copy(self) -> "Encryption | None":
        """A copy that changes independently; ``None`` if too much has been encrypted."""
        return _copied(self)

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

        def make() -> Any:
            context = _cipher(prepared, key, parameters, tag).decryptor()
            if prepared.rule.tag_lengths:
                context.authenticate_additional_data(additional_data)
            return context

        self._parts = _Parts(prepared, parameters, make)
        self._hold = 0 if prepared.padding == PaddingMethod.NONE else 1

    def copy(self) -> "Decryption | None":
        """A copy that changes independently; ``None`` if too much has been decrypted."""
        return _copied(self)

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


_Stream = TypeVar("_Stream", Encryption, Decryption)


def _copied(stream: _Stream) -> _Stream | None:
    parts = stream._parts.copy()
    if parts is None:
        return None
    copied = copy(stream)
    copied._parts = parts
    return copied


def _cipher(prepared: Prepared, key: bytes, parameters: Parameters, tag: bytes | None) -> Any:
    make_cipher = prepared.rule.in_parts
    if make_cipher is None:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, "this mode needs all data in one part"
        )
    with foreign_errors(ENCRYPTION_FAILED):
        return make_cipher(key, prepared.rule.expand(prepared.iv, parameters, 0), tag)
