"""The parameters of a computation with the defaults for those that are omitted.

The modules that compute have these defaults; rules about algorithms must see them, too, or a client
would evade a rule by omitting what it forbids. A test holds both equal.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from kmipkit.keys import derivation, macs, wrap
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.signatures import ALGORITHMS
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    DigitalSignatureAlgorithm,
    HashingAlgorithm,
    PaddingMethod,
)

_A = CryptographicAlgorithm
_RSA = frozenset({_A.RSA})
_CURVES = frozenset({_A.EC, _A.ECDSA, _A.ECDH, _A.ECMQV})

_FAMILIES: Mapping[str, frozenset[CryptographicAlgorithm]] = MappingProxyType(
    {"RSA": _RSA, "DSA": frozenset({_A.DSA}), "ECDSA": _CURVES}
)
"""The algorithms of keys by the word in the name of a Digital Signature Algorithm."""


def encryption(algorithm: CryptographicAlgorithm | None, parameters: Parameters) -> Parameters:
    """Those of Encrypt and Decrypt with a key of ``algorithm``."""
    if algorithm == _A.RSA:
        return _oaep(parameters)
    return replace(
        parameters, cryptographic_algorithm=parameters.cryptographic_algorithm or algorithm
    )


def wrapping(algorithm: CryptographicAlgorithm | None, parameters: Parameters) -> Parameters:
    """Those with which a key of ``algorithm`` wraps and unwraps another one."""
    if algorithm == _A.RSA:
        padding = parameters.padding_method or wrap.DEFAULT_PADDING
        return _oaep(replace(parameters, padding_method=padding))
    mode = parameters.block_cipher_mode or wrap.DEFAULT_MODE
    return replace(parameters, block_cipher_mode=mode)


def mac(algorithm: CryptographicAlgorithm | None, parameters: Parameters) -> Parameters:
    """Those of MAC and MAC Verify."""
    return replace(parameters, cryptographic_algorithm=macs.selected(algorithm, parameters))


def signature(algorithm: CryptographicAlgorithm | None, parameters: Parameters) -> Parameters:
    """Those of Sign and Signature Verify, with the Digital Signature Algorithm, if it has a name."""
    named = parameters.digital_signature_algorithm
    padding, hashing = ALGORITHMS.get(named, (None, None)) if named is not None else (None, None)
    hashing = hashing or parameters.hashing_algorithm
    padding = padding or parameters.padding_method
    mask = None
    if algorithm == _A.RSA:
        padding = padding or PaddingMethod.PKCS1_V1_5
        if padding == PaddingMethod.PSS:
            mask = parameters.mask_generator_hashing_algorithm or hashing or HashingAlgorithm.SHA_1
    elif algorithm in _CURVES or algorithm == _A.DSA:
        padding, hashing = None, hashing or HashingAlgorithm.SHA_256
    else:
        padding = hashing = None  # EdDSA and ML-DSA have hashes of their own
    return replace(
        parameters,
        padding_method=padding,
        hashing_algorithm=hashing,
        mask_generator_hashing_algorithm=mask,
        digital_signature_algorithm=_name(algorithm, padding, hashing) or named,
    )


def _name(
    algorithm: CryptographicAlgorithm | None,
    padding: PaddingMethod | None,
    hashing: HashingAlgorithm | None,
) -> DigitalSignatureAlgorithm | None:
    """The Digital Signature Algorithm that a client has described by padding and hash."""
    if padding == PaddingMethod.PSS:
        return DigitalSignatureAlgorithm.RSASSA_PSS
    for name, described in ALGORITHMS.items():
        family = "ECDSA" if "ECDSA" in name.name else "RSA" if "RSA" in name.name else "DSA"
        if described == (padding, hashing) and algorithm in _FAMILIES[family]:
            return name
    return None


def derived(
    method: DerivationMethod, algorithm: CryptographicAlgorithm | None, parameters: Parameters
) -> Parameters:
    """Those of Derive Key."""
    if method == DerivationMethod.ENCRYPT:
        return encryption(algorithm, parameters)
    default = derivation.DEFAULT_HASHES.get(method)
    if parameters.cryptographic_algorithm == _A.AES:
        default = None  # SP 800-108 with CMAC; PBKDF2 and HKDF do not look at the algorithm
        if method in (DerivationMethod.PBKDF2, DerivationMethod.HKDF):
            default = derivation.DEFAULT_HASHES[method]
    hashing = parameters.hashing_algorithm or default
    return replace(parameters, hashing_algorithm=hashing)


def _oaep(parameters: Parameters) -> Parameters:
    if parameters.padding_method != PaddingMethod.OAEP:
        return parameters
    default = HashingAlgorithm.SHA_1
    return replace(
        parameters,
        hashing_algorithm=parameters.hashing_algorithm or default,
        mask_generator_hashing_algorithm=parameters.mask_generator_hashing_algorithm or default,
    )
