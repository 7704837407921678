"""Cryptographic Parameters as plain values, independent of messages.

The functions of this package take them; a server or a host role makes them from a request, from the
attribute of the key or from its configuration. Names and units are those of the structure in KMIP
1.4 §3.6 and KMIP 2.1 §4.16.
"""

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    DigitalSignatureAlgorithm,
    HashingAlgorithm,
    MaskGenerator,
    PaddingMethod,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How a key is used; ``None`` means that the field was omitted."""

    block_cipher_mode: BlockCipherMode | None = None
    padding_method: PaddingMethod | None = None
    hashing_algorithm: HashingAlgorithm | None = None
    cryptographic_algorithm: CryptographicAlgorithm | None = None
    random_iv: bool | None = None
    """Whether to generate an IV if there is none (KMIP 1.2 and later)."""
    iv_length: int | None = None
    """In bits, unlike the next field."""
    tag_length: int | None = None
    """Length of an authentication tag in bytes."""
    counter_length: int | None = None
    """Length of the counter at the end of a CTR block, in bits."""
    initial_counter_value: int | None = None
    mask_generator: MaskGenerator | None = None
    """The mask generator of OAEP; MGF1 if omitted."""
    mask_generator_hashing_algorithm: HashingAlgorithm | None = None
    """SHA-1 if omitted (KMIP 2.1 §4.16)."""
    p_source: bytes | None = None
    """The label of OAEP; empty if omitted."""
    digital_signature_algorithm: DigitalSignatureAlgorithm | None = None
    salt_length: int | None = None
    """The length of the salt of PSS, in bytes."""

    @staticmethod
    def of(source: object) -> "Parameters":
        """The parameters from an object that has fields of the same names.

        Fields that ``source`` does not have are omitted.
        """
        return _from_values(tuple([getattr(source, name, None) for name in _NAMES]))

    def before_mask_generators(self) -> "Parameters":
        """The parameters of a client whose version has no Mask Generator Hashing Algorithm.

        It cannot say which hash the mask of OAEP uses. As in PyKMIP and most libraries, it is that of
        OAEP itself; the SHA-1 of KMIP 1.4 §3.6 is the default of a field that such a client lacks.
        """
        if self.padding_method != PaddingMethod.OAEP or self.mask_generator_hashing_algorithm:
            return self
        return replace(self, mask_generator_hashing_algorithm=self.hashing_algorithm)


_NAMES = tuple(field.name for field in fields(Parameters))


@lru_cache(maxsize=256)
def _from_values(values: tuple[Any, ...]) -> Parameters:
    """The parameters with these values of their fields; most requests have the same few."""
    return Parameters(**dict(zip(_NAMES, values, strict=True)))
