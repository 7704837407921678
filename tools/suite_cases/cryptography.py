"""Cases of MACs, hashes, random numbers and signatures."""

from collections.abc import Iterator

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads import crypto
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    HashingAlgorithm,
    Operation,
    PaddingMethod,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V1_3, Version
from suite_cases.steps import (
    Step,
    activate_object,
    create_pair,
    register_key,
    revoke_and_destroy,
    symbol,
    uid,
)

HI = b"Hi There"

HI_CODE = bytes.fromhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")

ABC = bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")

SHA_256 = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)

PKCS1 = SHA_256.replace(padding_method=PaddingMethod.PKCS1_V1_5)


def macs(version: Version) -> Iterator[Step]:
    """A code of RFC 4231, and one with a wrong first bit."""
    del version
    yield register_key(
        0,
        b"\x0b" * 20,
        CryptographicUsageMask.MAC_GENERATE | CryptographicUsageMask.MAC_VERIFY,
        CryptographicAlgorithm.HMAC_SHA256,
    )
    yield activate_object(0)
    yield Step(
        Operation.MAC,
        crypto.MACRequest(unique_identifier=uid(0), data=HI),
        crypto.MACResponse(unique_identifier=uid(0), mac_data=HI_CODE),
    ).claiming("HMAC-SHA256 gives the code of RFC 4231 §4.2")
    wrong_code = bytes([HI_CODE[0] ^ 0x80]) + HI_CODE[1:]
    for code, verdict in (
        (HI_CODE, ValidityIndicator.VALID),
        (wrong_code, ValidityIndicator.INVALID),
    ):
        yield Step(
            Operation.MAC_VERIFY,
            crypto.MACVerifyRequest(unique_identifier=uid(0), data=HI, mac_data=code),
            crypto.MACVerifyResponse(unique_identifier=uid(0), validity_indicator=verdict),
        ).claiming("MAC Verify tells a right code from a wrong one")
    yield from revoke_and_destroy(0)


def digests(version: Version) -> Iterator[Step]:
    """The example of FIPS 180-4 in one part, and from 1.3 on in three."""
    yield Step(
        Operation.HASH,
        crypto.HashRequest(cryptographic_parameters=SHA_256, data=b"abc"),
        crypto.HashResponse(data=ABC),
    ).claiming("SHA-256 gives the digest of FIPS 180-4")
    if version < V1_3:
        return
    value = symbol("CORRELATION_VALUE")
    partial = crypto.HashResponse(correlation_value=value)
    parts = (
        ({"data": b"a", "init_indicator": True}, partial),
        ({"data": b"b", "correlation_value": value}, partial),
        (
            {"data": b"c", "correlation_value": value, "final_indicator": True},
            crypto.HashResponse(data=ABC),
        ),
    )
    for fields, response in parts:
        request = crypto.HashRequest(cryptographic_parameters=SHA_256, **fields)
        yield Step(Operation.HASH, request, response).claiming(
            "data in several parts have the digest of the whole"
        )


def random_bytes(version: Version) -> Iterator[Step]:
    """The requested number of random bytes."""
    del version
    yield Step(
        Operation.RNG_RETRIEVE,
        crypto.RNGRetrieveRequest(data_length=32),
        crypto.RNGRetrieveResponse(data=bytes(32)),
    )


def signatures(version: Version) -> Iterator[Step]:
    """The public key verifies a signature of the private key, but not over other data."""
    del version
    yield create_pair(CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY)
    yield activate_object(0)
    yield activate_object(1)
    signature = symbol("SIGNATURE_DATA")
    yield Step(
        Operation.SIGN,
        crypto.SignRequest(unique_identifier=uid(0), cryptographic_parameters=PKCS1, data=HI),
        crypto.SignResponse(unique_identifier=uid(0), signature_data=signature),
    )
    for data, verdict in ((HI, ValidityIndicator.VALID), (HI + b"!", ValidityIndicator.INVALID)):
        yield Step(
            Operation.SIGNATURE_VERIFY,
            crypto.SignatureVerifyRequest(
                unique_identifier=uid(1),
                cryptographic_parameters=PKCS1,
                data=data,
                signature_data=signature,
            ),
            crypto.SignatureVerifyResponse(unique_identifier=uid(1), validity_indicator=verdict),
        ).claiming("a signature is valid for its data, and not for others")
    yield from revoke_and_destroy(0, 1)
