"""Ciphers: one table from (algorithm, mode) to a rule.

A rule says which keys, IVs, tags and padding a mode takes, and how to run it; `cipher` applies the
rule and knows no algorithm by name. To add a cipher, add a row.

Names and numbers: KMIP 1.4 §9.1.3.2.13 (algorithms) and §9.1.3.2.14 (modes). An algorithm that is
no block cipher has ``None`` for its mode. CTR: NIST SP 800-38A §6.5; GCM: SP 800-38D; CCM: SP
800-38C; XTS: SP 800-38E; ChaCha20: RFC 8439, and the original with 64-bit nonces.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from kmipkit.errors import OperationError
from kmipkit.keys import _library
from kmipkit.keys.chacha_poly import TAG_SIZE, ChaChaPoly
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm, ResultReason


class Seal(Protocol):
    """Encrypts; returns ciphertext and tag, the tag empty where the mode has none."""

    def __call__(
        self, key: bytes, iv: bytes, data: bytes, additional: bytes, tag_length: int
    ) -> tuple[bytes, bytes]: ...


class Open(Protocol):
    """Decrypts, and checks the tag where the mode has one."""

    def __call__(
        self, key: bytes, iv: bytes, data: bytes, additional: bytes, tag: bytes
    ) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one algorithm works in one mode; all sizes in bytes."""

    key_lengths: Collection[int]
    seal: Seal
    open: Open
    block: int = 1
    iv_lengths: Collection[int] = ()
    """The permitted lengths; empty if the mode uses no IV."""
    default_iv_length: Callable[[Parameters], int] = lambda _parameters: 0
    """The length of a generated IV if the parameters have no IV Length."""
    pads: bool = False
    """Whether the mode encrypts whole blocks only, so that padding applies."""
    tag_lengths: Collection[int] = ()
    """The permitted lengths of an authentication tag; empty if the mode has none."""
    minimum: int = 0
    """The shortest data that can be encrypted."""
    expand: Callable[[bytes, Parameters, int], bytes] = lambda iv, _parameters, _length: iv
    """The initial block of the cipher, from the IV, the parameters and the length of the data."""
    in_parts: Callable[[bytes, bytes, bytes | None], Cipher[Any] | ChaChaPoly] | None = None
    """The cipher of the library from key, initial block and tag; None if it needs all data at once."""


class _BlockCipher(NamedTuple):
    make: Callable[[bytes], Any]
    block: int
    key_lengths: Collection[int]


_ALGORITHM = CryptographicAlgorithm
_MODE = BlockCipherMode


def _triple_des(key: bytes) -> Any:
    return _library.TripleDES(key if len(key) == 24 else key + key[:8])


_BLOCK_CIPHERS: Mapping[CryptographicAlgorithm, _BlockCipher] = {
    _ALGORITHM.AES: _BlockCipher(algorithms.AES, 16, (16, 24, 32)),
    _ALGORITHM.DES3: _BlockCipher(_triple_des, 8, (16, 24)),
    _ALGORITHM.CAMELLIA: _BlockCipher(_library.Camellia, 16, (16, 24, 32)),
    _ALGORITHM.SM4: _BlockCipher(algorithms.SM4, 16, (16,)),
    _ALGORITHM.SEED: _BlockCipher(_library.SEED, 16, (16,)),
    _ALGORITHM.BLOWFISH: _BlockCipher(_library.Blowfish, 8, range(4, 57)),
    _ALGORITHM.CAST5: _BlockCipher(_library.CAST5, 8, range(5, 17)),
    _ALGORITHM.IDEA: _BlockCipher(_library.IDEA, 8, (16,)),
}


def _plain(cipher: Callable[[bytes, bytes], Cipher[Any]]) -> tuple[Seal, Open]:
    """Both directions of a mode without a tag; ``cipher`` takes key and IV."""

    def seal(
        key: bytes, iv: bytes, data: bytes, additional: bytes, tag_length: int
    ) -> tuple[bytes, bytes]:
        del additional, tag_length
        context = cipher(key, iv).encryptor()
        return context.update(data) + context.finalize(), b""

    def open_(key: bytes, iv: bytes, data: bytes, additional: bytes, tag: bytes) -> bytes:
        del additional, tag
        context = cipher(key, iv).decryptor()
        return context.update(data) + context.finalize()

    return seal, open_


def _gcm(key: bytes, iv: bytes, tag: bytes | None = None) -> Cipher[Any]:
    # The rule checks the length of the tag; the library's default minimum is 16.
    mode = modes.GCM(iv, tag, min_tag_length=4)
    return Cipher(algorithms.AES(key), mode)


_IV_IN_ONE_PIECE = range(8, 129)
"""The lengths of an IV with which the library encrypts in one call, in half the time."""


def _seal_gcm(
    key: bytes, iv: bytes, data: bytes, additional: bytes, tag_length: int
) -> tuple[bytes, bytes]:
    if len(iv) in _IV_IN_ONE_PIECE:
        sealed = AESGCM(key).encrypt(iv, data, additional)
        end = len(data)
        return sealed[:end], sealed[end : end + tag_length]
    context = _gcm(key, iv).encryptor()
    context.authenticate_additional_data(additional)
    return context.update(data) + context.finalize(), context.tag[:tag_length]


def _open_gcm(key: bytes, iv: bytes, data: bytes, additional: bytes, tag: bytes) -> bytes:
    if len(iv) in _IV_IN_ONE_PIECE and len(tag) == 16:
        return AESGCM(key).decrypt(iv, data + tag, additional)
    context = _gcm(key, iv, tag).decryptor()
    context.authenticate_additional_data(additional)
    return context.update(data) + context.finalize()


def _with_appended_tag(make: Callable[[bytes, int], Any]) -> tuple[Seal, Open]:
    """Both directions of a mode whose tag the library appends to the ciphertext."""

    def seal(
        key: bytes, iv: bytes, data: bytes, additional: bytes, tag_length: int
    ) -> tuple[bytes, bytes]:
        sealed: bytes = make(key, tag_length).encrypt(iv, data, additional)
        return sealed[: len(data)], sealed[len(data) :]

    def open_(key: bytes, iv: bytes, data: bytes, additional: bytes, tag: bytes) -> bytes:
        opened: bytes = make(key, len(tag)).decrypt(iv, data + tag, additional)
        return opened

    return seal, open_


def _always(length: int) -> Callable[[Parameters], int]:
    return lambda _parameters: length


def _counter_iv_length(parameters: Parameters) -> int:
    """A whole block; with an Initial Counter Value the rest of it: 12 bytes, as in RFC 3686."""
    if parameters.initial_counter_value is None:
        return 16
    return 16 - (parameters.counter_length or 32) // 8


def _counter_block(iv: bytes, parameters: Parameters, length: int) -> bytes:
    """The first block of CTR: the IV if it fills a block, else IV and Initial Counter Value.

    The counter is big-endian and fills the rest of the block (RFC 3686 §4: 4 bytes, from 1). It must
    not overflow: the keystream would repeat.
    """
    room = 16 - len(iv)
    if not room:
        return iv
    start, bits = parameters.initial_counter_value, room * 8
    if start is None or parameters.counter_length not in {None, bits}:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            f"CTR with an IV of {len(iv)} bytes needs an Initial Counter Value, and a Counter "
            f"Length of {bits} bits if it is specified; or specify an IV of 16 bytes",
        )
    if start < 0 or start + -(-length // 16) > 1 << bits:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"{length} bytes from Initial Counter Value {start} overflow a counter of {bits} bits",
        )
    return iv + start.to_bytes(room, "big")


def _chacha_block(iv: bytes, parameters: Parameters, length: int) -> bytes:
    """Counter and nonce of ChaCha20, little-endian, the counter from Initial Counter Value or 0."""
    room, start = 16 - len(iv), parameters.initial_counter_value or 0
    if start < 0 or (room and start + -(-length // 64) > 1 << room * 8) or (start and not room):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"{length} bytes from Initial Counter Value {start} overflow the counter, for which the "
            f"nonce leaves {room} bytes",
        )
    return start.to_bytes(room, "little") + iv


def _block_rules(algorithm: CryptographicAlgorithm) -> dict[BlockCipherMode, Rule]:
    """The modes of every block cipher."""
    make, block, keys = _BLOCK_CIPHERS[algorithm]

    def rule(mode: Callable[[bytes], Any], *, iv: int = block, pads: bool = False) -> Rule:
        def cipher(key: bytes, start: bytes, _tag: bytes | None = None) -> Cipher[Any]:
            return Cipher(make(key), mode(start))

        seal, open_ = _plain(cipher)
        return Rule(
            key_lengths=keys,
            seal=seal,
            open=open_,
            in_parts=cipher,
            block=block,
            iv_lengths=(iv,) if iv else (),
            default_iv_length=_always(iv),
            pads=pads,
        )

    return {
        _MODE.ECB: rule(lambda _iv: modes.ECB(), iv=0, pads=True),  # noqa: S305 - the standard's
        _MODE.CBC: rule(modes.CBC, pads=True),
        _MODE.CFB: rule(_library.CFB),
        _MODE.OFB: rule(_library.OFB),
    }


def _counter_rule(algorithm: CryptographicAlgorithm) -> Rule:
    make, block, keys = _BLOCK_CIPHERS[algorithm]

    def cipher(key: bytes, start: bytes, _tag: bytes | None = None) -> Cipher[Any]:
        return Cipher(make(key), modes.CTR(start))

    seal, open_ = _plain(cipher)
    return Rule(
        key_lengths=keys,
        seal=seal,
        open=open_,
        in_parts=cipher,
        block=block,
        iv_lengths=range(1, 17),
        default_iv_length=_counter_iv_length,
        expand=_counter_block,
    )


_GCM = Rule(
    key_lengths=(16, 24, 32),
    seal=_seal_gcm,
    open=_open_gcm,
    in_parts=_gcm,
    iv_lengths=range(8, 129),
    default_iv_length=_always(12),
    # SP 800-38D §5.2.1.2; 4 and 8 bytes are for special uses; the client must know.
    tag_lengths=frozenset({4, 8, 12, 13, 14, 15, 16}),
)

_SEAL_CCM, _OPEN_CCM = _with_appended_tag(AESCCM)
_CCM = Rule(
    key_lengths=(16, 24, 32),
    seal=_SEAL_CCM,
    open=_OPEN_CCM,
    iv_lengths=range(7, 14),
    default_iv_length=_always(12),
    tag_lengths=range(4, 17, 2),
)

_SEAL_XTS, _OPEN_XTS = _plain(lambda key, tweak: Cipher(algorithms.AES(key), modes.XTS(tweak)))
_XTS = Rule(
    key_lengths=(32, 64),  # two keys of 128 or 256 bits
    seal=_SEAL_XTS,
    open=_OPEN_XTS,
    iv_lengths=(16,),
    default_iv_length=_always(16),
    minimum=16,
)


def _chacha(key: bytes, start: bytes, _tag: bytes | None = None) -> Cipher[Any]:
    return Cipher(algorithms.ChaCha20(key, start), None)


_SEAL_CHACHA, _OPEN_CHACHA = _plain(_chacha)
_CHACHA = Rule(
    key_lengths=(32,),
    seal=_SEAL_CHACHA,
    open=_OPEN_CHACHA,
    in_parts=_chacha,
    iv_lengths=(8, 12, 16),
    default_iv_length=_always(12),
    expand=_chacha_block,
)

_SEAL_RC4, _OPEN_RC4 = _plain(lambda key, _iv: Cipher(_library.ARC4(key), None))
_RC4 = Rule(key_lengths=(5, 7, 8, 10, 16, 20, 24, 32), seal=_SEAL_RC4, open=_OPEN_RC4)


def _xor_pad(key: bytes, data: bytes) -> bytes:
    """The data XOR the first bytes of a one-time pad."""
    if len(data) > len(key):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the data has {len(data)} bytes, the one-time pad only {len(key)}",
        )
    return bytes(a ^ b for a, b in zip(key, data, strict=False))


MAX_PAD_LENGTH = 4096
"""The maximum length of a one-time pad in bytes."""

_ONE_TIME_PAD = Rule(
    key_lengths=range(1, MAX_PAD_LENGTH + 1),
    seal=lambda key, iv, data, additional, tag_length: (_xor_pad(key, data), b""),
    open=lambda key, iv, data, additional, tag: _xor_pad(key, data),
)


def _seal_poly(
    key: bytes, iv: bytes, data: bytes, additional: bytes, tag_length: int
) -> tuple[bytes, bytes]:
    sealed = ChaCha20Poly1305(key).encrypt(iv, data, additional)
    return sealed[: len(data)], sealed[len(data) :][:tag_length]


def _open_poly(key: bytes, iv: bytes, data: bytes, additional: bytes, tag: bytes) -> bytes:
    if len(tag) == TAG_SIZE:
        return ChaCha20Poly1305(key).decrypt(iv, data + tag, additional)
    context = ChaChaPoly(key, iv, tag).decryptor()
    context.authenticate_additional_data(additional)
    return context.update(data) + context.finalize()


_CHACHA_POLY = Rule(
    key_lengths=(32,),
    seal=_seal_poly,
    open=_open_poly,
    in_parts=ChaChaPoly,
    iv_lengths=(12,),
    default_iv_length=_always(12),
    # RFC 8439 has 16 only; the mandatory case CS-BC-M-CHACHA20POLY1305-1 decrypts with 12.
    tag_lengths=range(12, 17),
)

RULES: Mapping[tuple[CryptographicAlgorithm, BlockCipherMode | None], Rule] = MappingProxyType(
    {
        **{
            (algorithm, mode): rule
            for algorithm in _BLOCK_CIPHERS
            for mode, rule in _block_rules(algorithm).items()
        },
        **{
            (algorithm, _MODE.CTR): _counter_rule(algorithm)
            for algorithm in (_ALGORITHM.AES, _ALGORITHM.SM4)
        },
        (_ALGORITHM.AES, _MODE.GCM): _GCM,
        (_ALGORITHM.AES, _MODE.CCM): _CCM,
        (_ALGORITHM.AES, _MODE.XTS): _XTS,
        (_ALGORITHM.RC4, None): _RC4,
        (_ALGORITHM.ONE_TIME_PAD, None): _ONE_TIME_PAD,
        (_ALGORITHM.CHACHA20, None): _CHACHA,
        (_ALGORITHM.CHACHA20, _MODE.AEAD): _CHACHA_POLY,
        (_ALGORITHM.CHACHA20POLY1305, None): _CHACHA_POLY,
        (_ALGORITHM.CHACHA20POLY1305, _MODE.AEAD): _CHACHA_POLY,
    }
)
