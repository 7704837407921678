"""Encryption with RSA: what fits, what does not, and the reasons.

Round trips are in test_wrap.py, published results in tests/vectors.
"""

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from kmipkit.errors import OperationError
from kmipkit.keys import rsa
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import HashingAlgorithm, MaskGenerator, PaddingMethod, ResultReason

KEY = generate_private_key(65537, 1024)
OAEP = Parameters(padding_method=PaddingMethod.OAEP)
PKCS1 = Parameters(padding_method=PaddingMethod.PKCS1_V1_5)
OAEP_512 = Parameters(padding_method=PaddingMethod.OAEP, hashing_algorithm=HashingAlgorithm.SHA_512)


@pytest.mark.parametrize(("parameters", "room"), [(PKCS1, 117), (OAEP, 86), (OAEP_512, 0)])
def test_how_much_fits(parameters: Parameters, room: int) -> None:
    if room:
        sealed = rsa.encrypt(KEY.public_key(), parameters, bytes(room))
        assert rsa.decrypt(KEY, parameters, sealed) == bytes(room)
    with pytest.raises(OperationError, match=f"at most {room}") as caught:
        rsa.encrypt(KEY.public_key(), parameters, bytes(room + 1))
    assert caught.value.reason == ResultReason.INVALID_FIELD


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (Parameters(), ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS),
        (
            Parameters(padding_method=PaddingMethod.PSS),
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
        ),
        (
            Parameters(padding_method=PaddingMethod.OAEP, mask_generator=MaskGenerator(0x80000001)),
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
        ),
    ],
)
def test_parameters_that_cannot_be_used(parameters: Parameters, reason: ResultReason) -> None:
    for call in (
        lambda: rsa.encrypt(KEY.public_key(), parameters, b"x"),
        lambda: rsa.decrypt(KEY, parameters, bytes(128)),
    ):
        with pytest.raises(OperationError) as caught:
            call()
        assert caught.value.reason == reason


@pytest.mark.parametrize("length", [0, 127, 129])
def test_data_that_is_not_as_long_as_the_modulus(length: int) -> None:
    with pytest.raises(OperationError, match="1024 bits have 128") as caught:
        rsa.decrypt(KEY, OAEP, bytes(length))
    assert caught.value.reason == ResultReason.INVALID_FIELD
