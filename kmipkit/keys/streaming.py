"""Encryption and decryption in parts (KMIP 1.4 §4.29, §4.30: Init and Final Indicator).

The rules are those of single parts. Data that do not fill a block wait for the next part; when
padding may have to be taken off, a decryption also holds the last block back. Decrypting with a tag
in parts gives out data before the tag is checked: the last part says whether they were genuine.
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
    """What both directions have in common: the cipher and the bytes that wait."""

    ready: Prepared
    parameters: Parameters
    context: Any
    waiting: bytes = b""
    total: int = 0

    def advance(self, data: bytes, hold: int, failure: str) -> bytes:
        """Run what is complete through the cipher, except for the last ``hold`` bytes."""
        self.total += len(data)
        rule = self.ready.rule
        rule.expand(self.ready.iv, self.parameters, self.total)  # refuses an overrun counter
        self.waiting += data
        ready = len(self.waiting)
        if rule.pads:
            ready = max(ready - hold, 0) // rule.block * rule.block
        run, self.waiting = self.waiting[:ready], self.waiting[ready:]
        with foreign_errors(failure):
            out: bytes = self.context.update(run)
        return out


class Encryption:
    """An encryption that goes on from part to part."""

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
        ready = prepare_encryption(key, algorithm, parameters, iv, additional_data, random)
        self._random = random
        self._parts = _Parts(ready, parameters, _cipher(ready, key, parameters, None).encryptor())
        if ready.rule.tag_lengths:
            self._parts.context.authenticate_additional_data(additional_data)
        self._iv = ready.made_iv

    def update(self, data: bytes) -> Encrypted:
        """The next part; the IV, if it was made here, comes with the first."""
        sealed = self._parts.advance(data, 0, ENCRYPTION_FAILED)
        iv, self._iv = self._iv, None
        return Encrypted(data=sealed, iv=iv)

    def finish(self, data: bytes) -> Encrypted:
        """The last part."""
        first = self.update(data)
        parts, ready = self._parts, self._parts.ready
        last = b""
        if ready.rule.pads:
            last = pad(ready.padding, parts.waiting, ready.rule.block, self._random)
        with foreign_errors(ENCRYPTION_FAILED):
            rest: bytes = parts.context.update(last) + parts.context.finalize()
        tag = parts.context.tag[: ready.tag_length] if ready.rule.tag_lengths else None
        return Encrypted(data=first.data + rest, iv=first.iv, tag=tag)


class Decryption:
    """A decryption that goes on from part to part."""

    def __init__(
        self,
        key: bytes,
        algorithm: CryptographicAlgorithm,
        parameters: Parameters,
        *,
        iv: bytes | None,
        additional_data: bytes,
        tag: bytes | None,
    ) -> None:
        """Errors as of :class:`Encryption`; the tag comes with the first part (KMIP 2.1 §6.1.11)."""
        ready = prepare_decryption(key, algorithm, parameters, iv, additional_data, tag)
        self._parts = _Parts(ready, parameters, _cipher(ready, key, parameters, tag).decryptor())
        if ready.rule.tag_lengths:
            self._parts.context.authenticate_additional_data(additional_data)
        self._hold = 0 if ready.padding == PaddingMethod.NONE else 1

    def update(self, data: bytes) -> bytes:
        """What can be given out after the next part."""
        return self._parts.advance(data, self._hold, DECRYPTION_FAILED)

    def finish(self, data: bytes) -> bytes:
        """The rest; Cryptographic Failure where padding or tag are wrong."""
        given = self.update(data)
        parts, ready = self._parts, self._parts.ready
        if ready.rule.pads:
            check_whole_blocks(ready.rule, len(parts.waiting))
        with foreign_errors(DECRYPTION_FAILED):
            rest = parts.context.update(parts.waiting) + parts.context.finalize()
        return given + (unpad(ready.padding, rest, ready.rule.block) if ready.rule.pads else rest)


def _cipher(ready: Prepared, key: bytes, parameters: Parameters, tag: bytes | None) -> Any:
    begin = ready.rule.in_parts
    if begin is None:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, "this mode needs all data in one part"
        )
    with foreign_errors(ENCRYPTION_FAILED):
        return begin(key, ready.rule.expand(ready.iv, parameters, 0), tag)
