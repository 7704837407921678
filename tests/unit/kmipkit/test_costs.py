"""The estimates of costs are not much too low: a computation would run where it stops others."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from kmipkit.keys import cipher, costs, macs, wrap
from kmipkit.keys.hashes import HASHES, digest
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.rules import RULES
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm, PaddingMethod

pytestmark = pytest.mark.long
"""What is timed must not decide whether a busy machine passes."""

DATA = bytes(300_000)
TOLERANCE = 8
"""How many times as long as its estimate a computation may take here; machines differ, and are busy."""
KEY_SIZES = {
    CryptographicAlgorithm.AES: 32,
    CryptographicAlgorithm.DES3: 24,
    CryptographicAlgorithm.CHACHA20: 32,
    CryptographicAlgorithm.CHACHA20POLY1305: 32,
    CryptographicAlgorithm.POLY1305: 32,
}


def milliseconds(function: Callable[[], Any]) -> float:
    """The shortest of three measurements, in time of this process."""
    shortest = float("inf")
    for _ in range(3):
        begin = time.process_time()
        function()
        shortest = min(shortest, (time.process_time() - begin) * 1000)
    return shortest


def key_of(algorithm: CryptographicAlgorithm) -> bytes:
    return bytes(range(KEY_SIZES.get(algorithm, 16)))


@pytest.mark.parametrize("algorithm", HASHES, ids=lambda each: each.name)
def test_hashes(algorithm: Any) -> None:
    estimate = costs.hashing(algorithm, len(DATA))
    assert milliseconds(lambda: digest(DATA, algorithm)) < TOLERANCE * estimate


@pytest.mark.parametrize("algorithm", macs.MACS, ids=lambda each: each.name)
def test_macs(algorithm: Any) -> None:
    estimate = costs.mac(algorithm, len(DATA))
    key = key_of(algorithm)
    taken = milliseconds(lambda: macs.compute(key, algorithm, Parameters(), DATA))
    assert taken < TOLERANCE * estimate


def _whole(algorithm: CryptographicAlgorithm, mode: BlockCipherMode | None) -> Callable[[], Any]:
    rule = RULES[algorithm, mode]
    parameters = Parameters(
        block_cipher_mode=mode,
        padding_method=PaddingMethod.PKCS5 if rule.pads else None,
        random_iv=True,
        tag_length=16 if rule.tag_lengths else None,
    )
    key = key_of(algorithm)
    if mode is BlockCipherMode.XTS:
        key = bytes(range(64))
    return lambda: cipher.encrypt(
        key, algorithm, parameters, DATA, iv=None, additional_data=b"", random=_random
    )


def _random(count: int) -> bytes:
    return bytes(range(1, count + 1))


MODES = [rule for rule in RULES if CryptographicAlgorithm.ONE_TIME_PAD not in rule]
"""All but the pad, which encrypts no more than its own length."""


@pytest.mark.parametrize(
    ("algorithm", "mode"), MODES, ids=lambda each: "none" if each is None else each.name
)
def test_ciphers(algorithm: Any, mode: Any) -> None:
    work = _whole(algorithm, mode)
    work()  # every mode takes these parameters
    assert milliseconds(work) < TOLERANCE * costs.encryption(algorithm, len(DATA))


@pytest.mark.parametrize("mode", wrap.KEY_WRAPS, ids=lambda each: each.name)
def test_key_wraps(mode: BlockCipherMode) -> None:
    parameters = Parameters(block_cipher_mode=mode)
    estimate = wrap.wrapping_cost(parameters, len(DATA))
    assert milliseconds(lambda: wrap.wrap(bytes(32), parameters, DATA)) < TOLERANCE * estimate


CURVES = (
    ec.SECP192R1, ec.SECP224R1, ec.SECP256R1, ec.SECP384R1, ec.SECP521R1, ec.SECP256K1,
    ec.BrainpoolP256R1, ec.BrainpoolP384R1, ec.BrainpoolP512R1,
)  # fmt: skip


def _measure(key: Any, *arguments: Any) -> tuple[float, float]:
    """Signing and verifying."""
    signature = key.sign(b"data", *arguments)
    public = key.public_key()
    return (
        milliseconds(lambda: key.sign(b"data", *arguments)),
        milliseconds(lambda: public.verify(signature, b"data", *arguments)),
    )


@pytest.mark.parametrize("curve", CURVES, ids=lambda each: each.name)
def test_curves(curve: Any) -> None:
    key = ec.generate_private_key(curve())
    signing, verifying = _measure(key, ec.ECDSA(hashes.SHA256()))
    assert signing < TOLERANCE * costs.private_operation(key)
    assert verifying < TOLERANCE * costs.public_operation(key.public_key())


@pytest.mark.parametrize("bits", [1024, 2048])
def test_dsa(bits: int) -> None:
    key = dsa.generate_private_key(bits)
    signing, verifying = _measure(key, hashes.SHA256())
    assert signing < TOLERANCE * costs.private_operation(key)
    assert verifying < TOLERANCE * costs.public_operation(key.public_key())


@pytest.mark.parametrize("make", [ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey])
def test_other_keys(make: Any) -> None:
    key = make.generate()
    signing, verifying = _measure(key)
    assert signing < TOLERANCE * costs.private_operation(key)
    assert verifying < TOLERANCE * costs.public_operation(key.public_key())


def test_rsa_with_a_long_exponent() -> None:
    """A public key may be as expensive as a private one."""
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    key = rsa.RSAPublicNumbers(numbers.d, numbers.public_numbers.n).public_key()
    estimate = costs.public_operation(key)
    assert milliseconds(lambda: key.encrypt(b"data", PKCS1v15())) < TOLERANCE * estimate
    usual = rsa.RSAPublicNumbers(65537, numbers.public_numbers.n).public_key()
    assert costs.public_operation(usual) < estimate / 10
