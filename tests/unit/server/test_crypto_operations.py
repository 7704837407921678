"""Cryptography with keys on the server: signatures, codes, digests, random numbers, parts."""

import hashlib
import hmac
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from kmipkit_client import OperationFailed, calls, symmetric_key
from kmipkit_client.calls import Call
from kmipkit_server.engine.multipart import LIFETIME, MAX_COMPUTATIONS
from kmipkit_server.operations.table import STANDARD
from laboratory import Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import PublicKey
from kmipkit.model.payloads.create import CreateKeyPairRequest
from kmipkit.model.payloads.crypto import (
    EncryptRequest,
    HashRequest,
    MACRequest,
    MACVerifyRequest,
    RNGRetrieveRequest,
    RNGSeedRequest,
    SignatureVerifyRequest,
    SignRequest,
)
from kmipkit.model.payloads.session import InteropRequest, LogRequest, PingRequest
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    Data,
    HashingAlgorithm,
    InteropFunction,
    KeyFormatType,
    Operation,
    PaddingMethod,
    QueryFunction,
    RevocationReasonCode,
    UsageLimitsUnit,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V1_3, V1_4, V2_1, Version

A = CryptographicAlgorithm
M = CryptographicUsageMask
SHA_256 = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
HMAC = CryptographicParameters(cryptographic_algorithm=A.HMAC_SHA256)
ECB = CryptographicParameters(block_cipher_mode=BlockCipherMode.ECB)
KEY = bytes(range(16))
DATA = "Grüße, 世界".encode()


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path)
    yield made
    made.close()


def key(laboratory: Laboratory, mask: CryptographicUsageMask, identity: str = "me") -> str:
    made: str = laboratory.ask(
        calls.register(symmetric_key(KEY), mask, None, None), identity=identity
    )
    laboratory.ask(calls.activate(made), identity=identity)
    return made


def pair(laboratory: Laboratory) -> tuple[str, str]:
    """An active pair for ECDSA."""
    request = CreateKeyPairRequest(
        common_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_ALGORITHM, A.ECDSA)),
        private_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, M.SIGN)),
        public_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, M.VERIFY)),
    )
    made = laboratory.ask(calls.raw(Operation.CREATE_KEY_PAIR, request))
    halves = made.private_key_unique_identifier, made.public_key_unique_identifier
    for half in halves:
        laboratory.ask(calls.activate(half))
    return halves


def refusal(laboratory: Laboratory, call: Call[Any], identity: str = "me") -> str:
    with pytest.raises(OperationFailed) as caught:
        laboratory.ask(call, identity=identity)
    assert caught.value.reason is not None
    return caught.value.reason.name


def sign(identifier: str, data: bytes | None = DATA, **fields: Any) -> Call[Any]:
    return calls.raw(
        Operation.SIGN,
        SignRequest(
            unique_identifier=identifier, cryptographic_parameters=SHA_256, data=data, **fields
        ),
    )


def verify(identifier: str | None, data: bytes | None = DATA, **fields: Any) -> Call[Any]:
    return calls.raw(
        Operation.SIGNATURE_VERIFY,
        SignatureVerifyRequest(
            unique_identifier=identifier, cryptographic_parameters=SHA_256, data=data, **fields
        ),
    )


def mac(identifier: str | None, data: Any = DATA, **fields: Any) -> Call[Any]:
    request = MACRequest(
        unique_identifier=identifier, cryptographic_parameters=HMAC, data=data, **fields
    )
    return calls.raw(Operation.MAC, request)


def mac_verify(identifier: str | None, data: Any, **fields: Any) -> Call[Any]:
    request = MACVerifyRequest(
        unique_identifier=identifier, cryptographic_parameters=HMAC, data=data, **fields
    )
    return calls.raw(Operation.MAC_VERIFY, request)


def digest(data: Any = None, **fields: Any) -> Call[Any]:
    request = HashRequest(cryptographic_parameters=SHA_256, data=data, **fields)
    return calls.raw(Operation.HASH, request)


def encrypt(identifier: str | None, data: bytes | None, **fields: Any) -> Call[Any]:
    request = EncryptRequest(
        unique_identifier=identifier, cryptographic_parameters=ECB, data=data, **fields
    )
    return calls.raw(Operation.ENCRYPT, request)


# --- signatures -----------------------------------------------------------------------------------


def test_a_signature_is_verified_by_the_other_half(laboratory: Laboratory) -> None:
    private, public = pair(laboratory)
    signature = laboratory.ask(sign(private)).signature_data
    for data, verdict in ((DATA, ValidityIndicator.VALID), (b"", ValidityIndicator.INVALID)):
        answer = laboratory.ask(verify(public, data, signature_data=signature))
        assert answer.validity_indicator is verdict
    digested = hashlib.sha256(DATA).digest()
    answer = laboratory.ask(verify(public, None, digested_data=digested, signature_data=signature))
    assert answer.validity_indicator is ValidityIndicator.VALID


def test_what_signs_and_verifies_nothing(laboratory: Laboratory) -> None:
    private, public = pair(laboratory)
    symmetric = key(laboratory, M.SIGN | M.VERIFY)
    assert refusal(laboratory, sign(public)) == "INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK"
    assert refusal(laboratory, sign(symmetric)) == "INVALID_OBJECT_TYPE"
    assert refusal(laboratory, verify(symmetric, signature_data=b"")) == "INVALID_OBJECT_TYPE"
    assert refusal(laboratory, verify(public)) == "INVALID_FIELD"
    assert refusal(laboratory, sign(private, None)) == "INVALID_FIELD"
    both = sign(private, DATA, digested_data=bytes(32))
    assert refusal(laboratory, both) == "INVALID_FIELD"
    laboratory.ask(calls.revoke(private, RevocationReasonCode.SUPERSEDED, None, None))
    assert refusal(laboratory, sign(private)) == "WRONG_KEY_LIFECYCLE_STATE"


# --- codes and digests ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V1_2, V1_4, V2_1], ids=str)
def test_codes_and_digests(laboratory: Laboratory, version: Version) -> None:
    both = key(laboratory, M.MAC_GENERATE | M.MAC_VERIFY)
    code = laboratory.ask(mac(both), version).mac_data
    assert code == hmac.digest(KEY, DATA, "sha256")
    for given, verdict in ((code, ValidityIndicator.VALID), (code[:-1], ValidityIndicator.INVALID)):
        answer = laboratory.ask(mac_verify(both, DATA, mac_data=given), version)
        assert answer.validity_indicator is verdict
    assert laboratory.ask(digest(DATA), version).data == hashlib.sha256(DATA).digest()


def test_codes_that_are_not_made(laboratory: Laboratory) -> None:
    only = key(laboratory, M.MAC_VERIFY)
    private, _ = pair(laboratory)
    assert refusal(laboratory, mac(only)) == "INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK"
    assert refusal(laboratory, mac(private)) == "INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK"
    assert refusal(laboratory, mac_verify(only, DATA)) == "INVALID_FIELD"
    nothing = HashRequest(cryptographic_parameters=CryptographicParameters(), data=DATA)
    assert refusal(laboratory, calls.raw(Operation.HASH, nothing)) == "BAD_CRYPTOGRAPHIC_PARAMETERS"


def test_limits_of_usage_count_codes(laboratory: Laboratory) -> None:
    limited = key(laboratory, M.MAC_GENERATE)
    limits = UsageLimits(
        usage_limits_total=2, usage_limits_count=2, usage_limits_unit=UsageLimitsUnit.OBJECT
    )
    laboratory.ask(calls.add_attribute(limited, "Usage Limits", limits))
    # One operation in three parts is one use.
    first = laboratory.ask(mac(limited, b"a", init_indicator=True))
    value = first.correlation_value
    laboratory.ask(mac(limited, b"b", correlation_value=value))
    laboratory.ask(mac(limited, b"c", correlation_value=value, final_indicator=True))
    laboratory.ask(mac(limited))
    assert refusal(laboratory, mac(limited)) == "PERMISSION_DENIED"


# --- random numbers -------------------------------------------------------------------------------


def test_random_bytes(laboratory: Laboratory) -> None:
    def retrieve(count: int) -> Call[Any]:
        return calls.raw(Operation.RNG_RETRIEVE, RNGRetrieveRequest(data_length=count))

    one, other = (laboratory.ask(retrieve(32)).data for _ in range(2))
    assert len(one) == len(other) == 32
    assert one != other
    for count in (0, -1, (1 << 16) + 1, 2**31 - 1):
        assert refusal(laboratory, retrieve(count)) == "INVALID_FIELD"
    used = laboratory.ask(calls.raw(Operation.RNG_SEED, RNGSeedRequest(data=b"seed")))
    assert 0 <= used.data_length <= 4


# --- data of earlier items (KMIP 2.1 §7.9) --------------------------------------------------------


def test_an_item_works_on_what_an_earlier_one_gave_out(laboratory: Laboratory) -> None:
    both = key(laboratory, M.ENCRYPT | M.MAC_GENERATE | M.MAC_VERIFY)
    block = bytes(16)
    sealed, by_name, by_number, by_distance = laboratory.batch(
        encrypt(both, block), mac(both, Data.ENCRYPT), mac(both, 0), mac(both, -3)
    )
    expected = hmac.digest(KEY, sealed.data, "sha256")
    assert by_name.mac_data == by_number.mac_data == by_distance.mac_data == expected


def test_data_that_nobody_gave_out(laboratory: Laboratory) -> None:
    both = key(laboratory, M.MAC_GENERATE)
    for data in (Data.DECRYPT, 0, -1, 99):
        assert refusal(laboratory, mac(both, data)) == "INVALID_FIELD"


# --- operations in several parts ------------------------------------------------------------------


def parts(laboratory: Laboratory, make: Any, chunks: list[bytes], **first: Any) -> Any:
    """Send the chunks; the last answer."""
    answer = laboratory.ask(make(chunks[0], init_indicator=True, **first), V1_4)
    value = answer.correlation_value
    assert value
    for number, chunk in enumerate(chunks[1:], 2):
        last = {"final_indicator": True} if number == len(chunks) else {}
        answer = laboratory.ask(make(chunk, correlation_value=value, **last), V1_4)
        assert answer.correlation_value == (None if last else value)
    return answer


CHUNKS = [DATA[:1], DATA[1:10], b"", DATA[10:]]


def test_every_operation_takes_its_data_in_parts(laboratory: Laboratory) -> None:
    both = key(laboratory, M.MAC_GENERATE | M.MAC_VERIFY | M.ENCRYPT)
    private, public = pair(laboratory)
    answer = parts(laboratory, digest, CHUNKS)
    assert answer.data == hashlib.sha256(DATA).digest()
    code = parts(laboratory, lambda chunk, **f: mac(both, chunk, **f), CHUNKS).mac_data
    assert code == hmac.digest(KEY, DATA, "sha256")
    answer = parts(
        laboratory, lambda chunk, **f: mac_verify(both, chunk, **f), CHUNKS, mac_data=code
    )
    assert answer.validity_indicator is ValidityIndicator.VALID
    signature = parts(
        laboratory, lambda chunk, **f: sign(private, chunk, **f), CHUNKS
    ).signature_data
    answer = parts(
        laboratory, lambda chunk, **f: verify(public, chunk, **f), CHUNKS, signature_data=signature
    )
    assert answer.validity_indicator is ValidityIndicator.VALID


def test_a_later_part_need_not_name_the_key_and_may_not_name_another(
    laboratory: Laboratory,
) -> None:
    one, other = (key(laboratory, M.ENCRYPT) for _ in range(2))
    value = laboratory.ask(encrypt(one, b"0123", init_indicator=True)).correlation_value
    answer = laboratory.ask(encrypt(None, b"456789abcdef", correlation_value=value))
    assert len(answer.data) == 16
    wrong = encrypt(other, b"", correlation_value=value, final_indicator=True)
    assert refusal(laboratory, wrong) == "INVALID_CORRELATION_VALUE"


def test_whose_parts_they_are(laboratory: Laboratory) -> None:
    mine = laboratory.ask(digest(b"mine", init_indicator=True)).correlation_value
    more = digest(b"", correlation_value=mine, final_indicator=True)
    assert refusal(laboratory, more, "you") == "INVALID_CORRELATION_VALUE"
    both = key(laboratory, M.MAC_GENERATE)
    other_operation = mac(both, b"", correlation_value=mine)
    assert refusal(laboratory, other_operation) == "INVALID_CORRELATION_VALUE"
    assert laboratory.ask(more).data == hashlib.sha256(b"mine").digest()
    assert refusal(laboratory, more) == "INVALID_CORRELATION_VALUE"


def test_parts_that_nobody_goes_on_with_are_forgotten(laboratory: Laboratory) -> None:
    value = laboratory.ask(digest(b"", init_indicator=True)).correlation_value
    laboratory.now += LIFETIME + timedelta(seconds=1)
    late = digest(b"", correlation_value=value)
    assert refusal(laboratory, late) == "INVALID_CORRELATION_VALUE"


def test_so_many_wait_and_no_more(laboratory: Laboratory) -> None:
    """Or one client could take all memory."""
    begin = digest(b"", init_indicator=True)
    for _ in range(8):
        laboratory.batch(*[begin] * (MAX_COMPUTATIONS // 8))
    assert refusal(laboratory, begin) == "SERVER_LIMIT_EXCEEDED"
    laboratory.now += LIFETIME + timedelta(seconds=1)
    assert laboratory.ask(begin).correlation_value


def test_a_key_that_is_revoked_between_two_parts_stops(laboratory: Laboratory) -> None:
    one = key(laboratory, M.MAC_GENERATE)
    value = laboratory.ask(mac(one, b"a", init_indicator=True)).correlation_value
    laboratory.ask(calls.revoke(one, RevocationReasonCode.SUPERSEDED, None, None))
    assert refusal(laboratory, mac(one, b"b", correlation_value=value)) == (
        "WRONG_KEY_LIFECYCLE_STATE"
    )


def test_a_part_is_not_run_twice_where_the_batch_must_write(laboratory: Laboratory) -> None:
    """A batch that finds late that it must write begins anew; a part has no way back."""
    fresh = laboratory.ask(calls.create(A.AES, 128, M.ENCRYPT, None, None))
    value = laboratory.ask(digest(b"a", init_indicator=True)).correlation_value
    laboratory.batch(digest(b"b", correlation_value=value), calls.get(fresh, None, None, None))
    last = laboratory.ask(digest(b"c", correlation_value=value, final_indicator=True))
    assert last.data == hashlib.sha256(b"abc").digest()


def test_first_and_last_at_once_is_a_single_part(laboratory: Laboratory) -> None:
    """KMIP 2.1 §6: "or provide an Init indicator and Final Indicator but no Correlation Value"."""
    answer = laboratory.ask(digest(DATA, init_indicator=True, final_indicator=True))
    assert answer.data == hashlib.sha256(DATA).digest()
    assert answer.correlation_value is None
    both = digest(None, init_indicator=True, final_indicator=True)
    assert refusal(laboratory, both) == "INVALID_FIELD"


def test_rsa_takes_its_data_in_one_part(laboratory: Laboratory) -> None:
    request = CreateKeyPairRequest(
        common_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, A.RSA),
            (Tag.CRYPTOGRAPHIC_LENGTH, 1024),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, M.ENCRYPT),
        )
    )
    made = laboratory.ask(calls.raw(Operation.CREATE_KEY_PAIR, request))
    public = made.public_key_unique_identifier
    laboratory.ask(calls.activate(public))
    oaep = CryptographicParameters(padding_method=PaddingMethod.OAEP)
    part = EncryptRequest(
        unique_identifier=public, cryptographic_parameters=oaep, data=b"x", init_indicator=True
    )
    assert refusal(laboratory, calls.raw(Operation.ENCRYPT, part)) == "FEATURE_NOT_SUPPORTED"
    whole = calls.raw(Operation.ENCRYPT, part.replace(final_indicator=True))
    assert len(laboratory.ask(whole).data) == 128


@pytest.mark.parametrize(
    ("version", "mask_hash"), [(V1_2, SHA256), (V1_3, SHA256), (V1_4, SHA1), (V2_1, SHA1)], ids=str
)
def test_the_hash_of_the_mask_of_oaep(
    laboratory: Laboratory, version: Version, mask_hash: type[HashAlgorithm]
) -> None:
    """SHA-1 unless given (KMIP 1.4 §3.6); before 1.4 nobody can give it, and it is that of OAEP."""
    key = rsa.generate_private_key(65537, 1024)
    data = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    value = PublicKey(
        key_block=KeyBlock(
            key_format_type=KeyFormatType.X_509, key_value=KeyValue(key_material=data)
        )
    )
    public = laboratory.ask(calls.register(value, M.ENCRYPT, None, None), version)
    laboratory.ask(calls.activate(public), version)
    oaep = CryptographicParameters(
        padding_method=PaddingMethod.OAEP, hashing_algorithm=HashingAlgorithm.SHA_256
    )
    request = EncryptRequest(unique_identifier=public, cryptographic_parameters=oaep, data=b"x")
    encrypted = laboratory.ask(calls.raw(Operation.ENCRYPT, request), version).data
    scheme = padding.OAEP(mgf=padding.MGF1(mask_hash()), algorithm=SHA256(), label=None)
    assert key.decrypt(encrypted, scheme) == b"x"


# --- operations without objects -------------------------------------------------------------------


def test_a_client_writes_one_line_to_the_log(
    laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kmipkit.server")
    forged = "done\n2026-01-01 INFO admin: all keys destroyed"
    laboratory.ask(calls.raw(Operation.LOG, LogRequest(log_message=forged)))
    laboratory.ask(calls.raw(Operation.LOG, LogRequest(log_message="x" * 100_000)))
    first, second = (record.getMessage() for record in caplog.records[-2:])
    assert "\n" not in first
    assert "me says: 'done" in first
    assert len(second) < 1100
    laboratory.ask(calls.raw(Operation.PING, PingRequest()))


def test_interop_is_for_test_environments(tmp_path: Path) -> None:
    """ "It SHALL NOT be available in a production server." (KMIP 2.1 §6.1.26)"""
    request = InteropRequest(interop_function=InteropFunction.BEGIN, interop_identifier="SKLC-M-1")
    call = calls.raw(Operation.INTEROP, request)
    for withheld in (frozenset({Operation.INTEROP}), frozenset[Operation]()):
        rows = [row for row in STANDARD if row.operation not in withheld]
        laboratory = Laboratory(tmp_path / str(len(withheld)), rows=rows)
        offered = laboratory.ask(calls.query((QueryFunction.QUERY_OPERATIONS,))).operations
        assert (Operation.INTEROP in offered) is not bool(withheld)
        if withheld:
            assert refusal(laboratory, call) == "OPERATION_NOT_SUPPORTED"
        else:
            laboratory.ask(call)
        laboratory.close()


def test_an_interop_function_that_no_version_has_is_refused(laboratory: Laboratory) -> None:
    request = InteropRequest(interop_function=InteropFunction(0x7FFFFF01), interop_identifier="A")
    assert refusal(laboratory, calls.raw(Operation.INTEROP, request)) == "INVALID_FIELD"


def test_operations_in_parts_came_with_1_3(laboratory: Laboratory) -> None:
    answer = laboratory.ask(digest(b"a", init_indicator=True), V1_3)
    assert answer.data is None
    assert answer.correlation_value
