"""Encrypt and Decrypt with symmetric keys (KMIP 1.4 §4.29, §4.30; KMIP 2.1 §6.1.17, §6.1.11).

Everything particular to an algorithm is a row of `rules`; this file finds the row, checks the
request by it (key, IV, tag, padding), runs it, and maps failures to Result Reasons. The tag is
separate from the ciphertext, as in the messages of KMIP 1.4 and later; :func:`detach_tag` is for
earlier ones, where it follows the ciphertext.

Two reasons are less specific than those of KMIP 2.1 §11.46. The mandatory cases of the
baseline cryptographic profiles fix them for all versions: a missing IV is an Invalid Message
(CS-BC-M-11), a tag length that the mode does not have is a General Failure (CS-BC-M-GCM-1).
"""

from dataclasses import dataclass

from kmipkit.errors import OperationError
from kmipkit.keys._border import foreign_errors
from kmipkit.keys.padding import DECRYPTION_FAILED, Random, pad, unpad
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.rules import RULES, Rule
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    PaddingMethod,
    ResultReason,
)

MISSING_IV = ResultReason.INVALID_MESSAGE
BAD_TAG_LENGTH = ResultReason.GENERAL_FAILURE
ENCRYPTION_FAILED = "encryption failed: the mode does not permit this key or data"

_COMPATIBLE = {
    (CryptographicAlgorithm.CHACHA20, CryptographicAlgorithm.CHACHA20POLY1305),
}
"""(algorithm of the key, algorithm of the parameters) that differ and are permitted."""

_BLOCK_MODES = frozenset(mode for _, mode in RULES if mode is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encrypted:
    """The result of an encryption."""

    data: bytes
    iv: bytes | None = None
    """The generated IV; ``None`` if the caller specified it or the mode uses none."""
    tag: bytes | None = None
    """The authentication tag of a mode that has one."""

    def with_attached_tag(self) -> "Encrypted":
        """The same with the tag behind the data."""
        if self.tag is None:
            return self
        return Encrypted(data=self.data + self.tag, iv=self.iv)


def encrypt(
    key: bytes,
    algorithm: CryptographicAlgorithm,
    parameters: Parameters,
    data: bytes,
    *,
    iv: bytes | None = None,
    additional_data: bytes = b"",
    random: Random,
) -> Encrypted:
    """Encrypt ``data`` with a key of ``algorithm``.

    Without ``iv``, one is generated with ``random`` if the parameters have Random IV. Its length is
    the IV Length of the parameters, or else the default of the mode.

    Raises:
        OperationError: Bad or Unsupported Cryptographic Parameters for a combination that is not
            valid or not in :data:`~kmipkit.keys.rules.RULES`; Invalid Message for a missing IV;
            Invalid Field for data, IV or key of a length that the mode does not permit;
            General Failure for such a Tag Length.
    """
    prepared = prepare_encryption(key, algorithm, parameters, iv, additional_data, random)
    pattern = Pattern(prepared.rule, prepared.padding, prepared.tag_length, parameters)
    ciphertext, tag = pattern.seal(key, data, prepared.iv, additional_data, random)
    return Encrypted(data=ciphertext, iv=prepared.generated_iv, tag=tag)


def decrypt(
    key: bytes,
    algorithm: CryptographicAlgorithm,
    parameters: Parameters,
    data: bytes,
    *,
    iv: bytes | None = None,
    additional_data: bytes = b"",
    tag: bytes | None = None,
) -> bytes:
    """Decrypt ``data`` with a key of ``algorithm``; check its ``tag`` in a mode that has one.

    Raises:
        OperationError: Cryptographic Failure if tag or padding are wrong, because of a wrong key,
            wrong parameters or altered data; else as :func:`encrypt`.
    """
    prepared = prepare_decryption(key, algorithm, parameters, iv, additional_data, tag)
    pattern = Pattern(prepared.rule, prepared.padding, prepared.tag_length, parameters)
    return pattern.open(key, data, prepared.iv, additional_data, tag or b"")


def detach_tag(
    algorithm: CryptographicAlgorithm, parameters: Parameters, data: bytes
) -> tuple[bytes, bytes | None]:
    """Data and tag, where the tag follows the data; no tag if the mode has none.

    The length of the tag is the Tag Length of the parameters, or else the longest of the mode, as in
    :func:`encrypt`.
    """
    length = attached_tag_length(algorithm, parameters)
    if not length:
        return data, None
    if len(data) < length:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Data has {len(data)} bytes, but ends with a tag of {length} bytes",
        )
    return data[:-length], data[-length:]


def attached_tag_length(algorithm: CryptographicAlgorithm, parameters: Parameters) -> int:
    """The length of a tag that follows the data; 0 if the mode has none, or is not supported."""
    key = (parameters.cryptographic_algorithm or algorithm, parameters.block_cipher_mode)
    rule = RULES.get(key)
    return _tag_length(rule, parameters.tag_length) if rule is not None else 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that fits the rule of its algorithm and mode."""

    rule: Rule
    padding: PaddingMethod
    iv: bytes
    generated_iv: bytes | None = None
    """The same IV if it was generated."""
    tag_length: int = 0


@dataclass(frozen=True, slots=True)
class Pattern:
    """How to encrypt or decrypt, once the checks of :func:`encrypt` or :func:`decrypt` have been made.

    They need not be made again for a key, data, IV, additional data and tag of the same lengths.
    """

    rule: Rule
    padding: PaddingMethod
    tag_length: int
    parameters: Parameters

    @classmethod
    def of(cls, key: bytes, algorithm: CryptographicAlgorithm, parameters: Parameters) -> "Pattern":
        """The pattern of requests with a key of this length."""
        rule = _rule(key, algorithm, parameters)
        tag_length = _tag_length(rule, parameters.tag_length)
        return cls(rule, _padding(rule, parameters), tag_length, parameters)

    def iv(self, random: Random) -> bytes | None:
        """A new IV; None if there is none to generate."""
        return _random_iv(self.rule, self.parameters, random) or None

    def seal(
        self, key: bytes, data: bytes, iv: bytes, additional_data: bytes, random: Random
    ) -> tuple[bytes, bytes | None]:
        """The ciphertext, and the tag if the mode has one. OperationError as of :func:`encrypt`."""
        rule = self.rule
        padded = pad(self.padding, data, rule.block, random) if rule.pads else data
        _check_length(rule, padded)
        start = rule.expand(iv, self.parameters, len(padded))
        with foreign_errors(ENCRYPTION_FAILED):
            ciphertext, tag = rule.seal(key, start, padded, additional_data, self.tag_length)
        return ciphertext, tag if rule.tag_lengths else None

    def open(self, key: bytes, data: bytes, iv: bytes, additional_data: bytes, tag: bytes) -> bytes:
        """The plaintext. OperationError as of :func:`decrypt`."""
        rule = self.rule
        if rule.pads:
            check_whole_blocks(rule, len(data))
        _check_length(rule, data)
        start = rule.expand(iv, self.parameters, len(data))
        with foreign_errors(DECRYPTION_FAILED):
            plaintext = rule.open(key, start, data, additional_data, tag)
        return unpad(self.padding, plaintext, rule.block) if rule.pads else plaintext


def prepare_encryption(
    key: bytes,
    algorithm: CryptographicAlgorithm,
    parameters: Parameters,
    iv: bytes | None,
    additional_data: bytes,
    random: Random,
) -> Prepared:
    """Everything of :func:`encrypt` that does not depend on the data."""
    rule = _rule(key, algorithm, parameters)
    padding = _padding(rule, parameters)
    tag_length = _tag_length(rule, parameters.tag_length)
    _check_additional(rule, additional_data)
    actual_iv = iv if iv is not None else _random_iv(rule, parameters, random)
    _check_iv(rule, actual_iv)
    return Prepared(
        rule, padding, actual_iv, actual_iv if iv is None and actual_iv else None, tag_length
    )


def prepare_decryption(
    key: bytes,
    algorithm: CryptographicAlgorithm,
    parameters: Parameters,
    iv: bytes | None,
    additional_data: bytes,
    tag: bytes | None,
    *,
    tag_follows: bool = False,
) -> Prepared:
    """Everything of :func:`decrypt` that does not depend on the data, which ``tag_follows`` or not."""
    rule = _rule(key, algorithm, parameters)
    padding = _padding(rule, parameters)
    _check_additional(rule, additional_data)
    if not tag_follows:
        _check_tag(rule, parameters, tag)
    actual_iv = iv if iv is not None else b""
    _check_iv(rule, actual_iv)
    return Prepared(rule, padding, actual_iv)


def check_whole_blocks(rule: Rule, length: int) -> None:
    """Refuse a ciphertext that ends within a block (Invalid Field)."""
    if length % rule.block:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Data has {length} bytes; the ciphertext of this mode is a multiple of {rule.block}",
        )


def _rule(key: bytes, of_key: CryptographicAlgorithm, parameters: Parameters) -> Rule:
    algorithm = parameters.cryptographic_algorithm or of_key
    if algorithm != of_key and (of_key, algorithm) not in _COMPATIBLE:
        raise _bad_parameters(
            f"Cryptographic Algorithm {algorithm.name} with a key of {of_key.name}"
        )
    rule = RULES.get((algorithm, parameters.block_cipher_mode))
    if rule is None:
        raise _no_rule(algorithm, parameters.block_cipher_mode)
    if len(key) not in rule.key_lengths:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"a key of {len(key) * 8} bits cannot be used with {_name(algorithm, parameters)}",
        )
    return rule


def _no_rule(algorithm: CryptographicAlgorithm, mode: BlockCipherMode | None) -> OperationError:
    if mode is None and any(supported == algorithm for supported, _ in RULES):
        return _bad_parameters(
            f"{algorithm.name} needs a Block Cipher Mode, in the request or in those of the key"
        )
    if mode is not None and mode in _BLOCK_MODES and (algorithm, None) in RULES:
        return _bad_parameters(
            f"{algorithm.name} is not a block cipher, but Block Cipher Mode is {mode.name}"
        )
    name = algorithm.name if mode is None else f"{algorithm.name} with {mode.name}"
    return OperationError(
        ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS, f"{name} is not supported"
    )


def _bad_parameters(text: str) -> OperationError:
    return OperationError(
        ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS, f"bad Cryptographic Parameters: {text}"
    )


def _name(algorithm: CryptographicAlgorithm, parameters: Parameters) -> str:
    mode = parameters.block_cipher_mode
    return algorithm.name if mode is None else f"{algorithm.name} {mode.name}"


def _padding(rule: Rule, parameters: Parameters) -> PaddingMethod:
    method = parameters.padding_method or PaddingMethod.NONE
    if method != PaddingMethod.NONE and not rule.pads:
        # If it were ignored, a client that decrypts by itself would remove padding that is not there.
        raise _bad_parameters(f"Padding Method {method.name} with a mode without padding")
    return method


def _tag_length(rule: Rule, tag_length: int | None) -> int:
    if not rule.tag_lengths:
        return 0  # Tag Length has no meaning in other modes
    length = max(rule.tag_lengths) if tag_length is None else tag_length
    if length not in rule.tag_lengths:
        raise OperationError(
            BAD_TAG_LENGTH,
            f"invalid tag length {length}; permitted are "
            f"{', '.join(map(str, sorted(rule.tag_lengths)))} bytes",
        )
    return length


def _check_tag(rule: Rule, parameters: Parameters, tag: bytes | None) -> None:
    if not rule.tag_lengths:
        if tag is not None:
            raise _bad_parameters("Authenticated Encryption Tag with a mode without tag")
        return
    if tag is None:
        raise OperationError(
            ResultReason.INVALID_MESSAGE,
            "missing tag: the mode needs an Authenticated Encryption Tag",
        )
    tag_length = len(tag) if parameters.tag_length is None else parameters.tag_length
    if _tag_length(rule, len(tag)) != _tag_length(rule, tag_length):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Authenticated Encryption Tag has {len(tag)} bytes, Tag Length is {tag_length}",
        )


def _check_additional(rule: Rule, additional_data: bytes) -> None:
    if additional_data and not rule.tag_lengths:
        raise _bad_parameters("Authenticated Encryption Additional Data with a mode without tag")


def _random_iv(rule: Rule, parameters: Parameters, random: Random) -> bytes:
    if not parameters.random_iv or not rule.iv_lengths:
        return b""
    bits = parameters.iv_length
    length = rule.default_iv_length(parameters) if bits is None else bits // 8
    if length not in rule.iv_lengths or (bits or 0) % 8:
        field = f"IV Length {bits}" if bits is not None else "Counter Length"
        raise _bad_parameters(
            f"{field}; an IV has {_lengths(rule)} bytes, and its length is specified in bits"
        )
    return random(length)


def _check_iv(rule: Rule, iv: bytes) -> None:
    if not rule.iv_lengths:
        return  # an IV for ECB is useless, and harmless
    if not iv:
        raise OperationError(MISSING_IV, "missing IV: the mode needs an IV/Counter/Nonce")
    if len(iv) not in rule.iv_lengths:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"IV/Counter/Nonce has {len(iv)} bytes; the mode needs {_lengths(rule)}",
        )


def _lengths(rule: Rule) -> str:
    lengths = sorted(rule.iv_lengths)
    if len(lengths) > 3:
        return f"{lengths[0]} to {lengths[-1]}"
    return " or ".join(map(str, lengths))


def _check_length(rule: Rule, data: bytes) -> None:
    if len(data) < rule.minimum:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Data has {len(data)} bytes; the mode needs at least {rule.minimum}",
        )
