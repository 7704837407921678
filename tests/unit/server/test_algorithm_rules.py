"""Algorithm rules: what they refuse when keys are made and used, and of what they warn before."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from creating_operations import CREATING, import_, re_provision
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from kmipkit_client import OperationFailed, calls, crypto_calls, symmetric_key
from kmipkit_server.engine.hooks import Permissions
from kmipkit_server.engine.warnings import Warnings
from kmipkit_server.operations.table import STANDARD
from laboratory import Laboratory
from policies import apply_policy
from tenancy import set_tenants, tenant

from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.keyblock import (
    EncryptionKeyInformation,
    KeyBlock,
    KeyValue,
    KeyWrappingSpecification,
)
from kmipkit.model.objects import PrivateKey
from kmipkit.model.payloads.certify import CertifyRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import GetUsageAllocationRequest
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    DigitalSignatureAlgorithm,
    EncodingOption,
    HashingAlgorithm,
    KeyFormatType,
    Operation,
    PaddingMethod,
    RecommendedCurve,
    ResultReason,
    UsageLimitsUnit,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.versions import V1_4, V2_0, V2_1

A = CryptographicAlgorithm
R = ResultReason
P = CryptographicParameters

EVERYTHING_FORBIDDEN = """
[algorithms.nothing]
algorithms = { allowed = [] }
"""


class Ruled(Laboratory):
    """A laboratory whose algorithm rules can be changed."""

    def __init__(self, folder: Path) -> None:
        self.warnings = Warnings()
        super().__init__(folder, hooks=(Permissions(), self.warnings))

    def rule(self, text: str) -> None:
        apply_policy(self, text)

    def refusal(self, call: Any, **options: Any) -> tuple[str, str]:
        with pytest.raises(OperationFailed) as caught:
            self.ask(call, **options)
        assert caught.value.reason is not None
        return caught.value.reason.name, str(caught.value)

    def key(self, usage: Mask, algorithm: A = A.AES, length: int = 256, **attributes: Any) -> str:
        identifier: str = self.ask(calls.create(algorithm, length, usage, None, attributes))
        self.ask(calls.activate(identifier))
        return identifier

    def pair(
        self, algorithm: A, length: int | None = None, curve: RecommendedCurve | None = None,
        usage: tuple[Mask, Mask] = (Mask.SIGN, Mask.VERIFY),
    ) -> Any:  # fmt: skip
        pair = self.ask(pair_call(algorithm, length, curve, usage))
        self.ask(calls.activate(pair.private))
        self.ask(calls.activate(pair.public))
        return pair


def pair_call(
    algorithm: A,
    length: int | None = None,
    curve: RecommendedCurve | None = None,
    usage: tuple[Mask, Mask] = (Mask.SIGN, Mask.VERIFY),
) -> Any:
    return crypto_calls.create_key_pair(algorithm, length, curve, usage, (None, None), None)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Ruled]:
    laboratory = Ruled(tmp_path / "data")
    yield laboratory
    laboratory.close()


# --- new objects ---------------------------------------------------------------------------------

AES_KEY = calls.register(symmetric_key(bytes(16)), None, None, None)
WITH_ALGORITHM = CREATING | {Operation.REGISTER: lambda _: AES_KEY}


def test_every_creating_operation_is_here() -> None:
    """An operation that is forgotten makes the keys that a rule forbids."""
    standard = {row.operation for row in STANDARD if row.creates}
    assert standard | {Operation.LOCATE} == {*WITH_ALGORITHM, Operation.RE_PROVISION}


@pytest.mark.parametrize("operation", WITH_ALGORITHM, ids=lambda operation: operation.name)
def test_no_operation_makes_a_forbidden_object(laboratory: Ruled, operation: Operation) -> None:
    """Neither before its date, when it only warns, nor after it, when nothing of it remains."""
    call = WITH_ALGORITHM[operation](laboratory)
    laboratory.rule(EVERYTHING_FORBIDDEN + "from = 2026-12-01")
    if operation is not Operation.LOCATE:  # a member of a group is made only once
        assert laboratory.ask(call)
        assert laboratory.warnings.counts["nothing"] > 0
        call = WITH_ALGORITHM[operation](laboratory)
    if operation is Operation.IMPORT:
        call = import_(replaces=True)
    laboratory.rule(EVERYTHING_FORBIDDEN)
    # Derive Key is refused the key from which it derives, before it makes another one.
    uses_key = operation is Operation.DERIVE_KEY
    expected = "PERMISSION_DENIED" if uses_key else "CONSTRAINT_VIOLATION"
    reason, text = laboratory.refusal(call)
    assert (reason, "'nothing' does not permit it" in text) == (expected, True)


def test_re_provision_makes_no_forbidden_keys(laboratory: Ruled) -> None:
    laboratory.rule(EVERYTHING_FORBIDDEN)
    assert re_provision(laboratory).result_reason is R.CONSTRAINT_VIOLATION
    laboratory.rule("")
    assert re_provision(laboratory).result_reason is None


def test_the_reason_is_one_of_the_version(laboratory: Ruled) -> None:
    """Constraint Violation is one of 2.1."""
    laboratory.rule(EVERYTHING_FORBIDDEN)
    assert [laboratory.refusal(AES_KEY, version=each)[0] for each in (V1_4, V2_0, V2_1)] == [
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        "CONSTRAINT_VIOLATION",
    ]


@pytest.mark.parametrize(
    ("text", "call", "words"),
    [
        ("minimum_length = { RSA = 3072 }", pair_call(A.RSA, 2048), "RSA with 2048 bits is shorter"),
        ("minimum_length = { EC = 384 }", pair_call(A.ECDSA, 256), "shorter than 384 bits"),
        ("minimum_strength = 128", pair_call(A.RSA, 2048), "has a strength of 112 bits"),
        ("minimum_strength = 128", calls.create(A.DES3, 168, Mask.ENCRYPT, None, None), "112 bits"),
        ("quantum_safe = true", pair_call(A.ED25519), "not quantum safe"),
        ("quantum_safe = true", calls.create(A.AES, 128, Mask.ENCRYPT, None, None), "AES with 128"),
        ('algorithms = { forbidden = ["3DES"] }', calls.create(A.DES3, 168, Mask.ENCRYPT, None, None),
         "DES3 is not permitted"),
        ('curves = { allowed = ["P-384"] }', pair_call(A.ECDSA, 256), "P-256 is not permitted"),
        ('curves = { forbidden = ["secp256k1"] }',
         pair_call(A.EC, None, RecommendedCurve.SECP256K1), "SECP256K1 is not permitted"),
    ],
)  # fmt: skip
def test_a_rule_refuses_what_it_is_about(
    laboratory: Ruled, text: str, call: Any, words: str
) -> None:
    laboratory.rule(f"[algorithms.r]\n{text}")
    assert words in laboratory.refusal(call)[1]
    permitted = calls.create(A.AES, 256, Mask.ENCRYPT, None, None)
    assert laboratory.ask(permitted)


def pkcs_8(key: Any) -> bytes:
    data: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return data


def unlabelled(data: bytes) -> PrivateKey:
    """A key of which the request says neither algorithm nor length."""
    value = KeyValue(key_material=data)
    return PrivateKey(key_block=KeyBlock(key_format_type=KeyFormatType.PKCS_8, key_value=value))


def test_a_client_cannot_hide_the_curve_or_the_length(laboratory: Ruled) -> None:
    """Both follow from the bytes of a registered key, whatever its attributes omit."""
    laboratory.rule("""
        [algorithms.r]
        curves = { allowed = ["P-256"] }
        minimum_length = { RSA = 2048 }
    """)
    curve = pkcs_8(ec.generate_private_key(ec.SECP256K1()))
    short = pkcs_8(rsa.generate_private_key(65537, 1024))
    for key, words in ((curve, "SECP256K1"), (short, "shorter than 2048")):
        call = calls.register(unlabelled(key), None, None, None)
        assert words in laboratory.refusal(call)[1]
    good = pkcs_8(ec.generate_private_key(ec.SECP256R1()))
    assert laboratory.ask(calls.register(unlabelled(good), None, None, None))


def test_a_rule_may_be_about_some_objects_only(laboratory: Ruled) -> None:
    laboratory.rule("""
        [algorithms.r]
        object_types = ["Symmetric Key"]
        usage = ["Wrap Key"]
        minimum_length = { AES = 256 }
    """)
    assert laboratory.ask(calls.create(A.AES, 128, Mask.ENCRYPT, None, None))
    assert laboratory.refusal(calls.create(A.AES, 128, Mask.WRAP_KEY, None, None))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('signature_algorithms = { allowed = ["RSASSA-PSS"] }', "SHA-256WithRSAEncryption"),
        ('hashing_algorithms = { forbidden = ["SHA-256"] }', "SHA-256 is not permitted"),
        ("minimum_strength = 192", "a signature with SHA-256 has a strength of 128 bits"),
    ],
)
def test_a_certificate_is_judged_by_its_signature(laboratory: Ruled, text: str, words: str) -> None:
    """Its key is good enough for all of these rules; the authority signs with RSA and SHA-256."""
    pair = laboratory.pair(A.ECDSA, 384)
    certify = calls.raw(Operation.CERTIFY, CertifyRequest(unique_identifier=pair.public))
    laboratory.rule(parameter_rule(text))
    reason, message = laboratory.refusal(certify)
    assert (reason, words in message) == ("CONSTRAINT_VIOLATION", True), message
    laboratory.rule("")
    assert laboratory.ask(certify)


# --- the use of stored keys ----------------------------------------------------------------------

CBC = P(block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5, random_iv=True)
ECB = P(block_cipher_mode=BlockCipherMode.ECB, padding_method=PaddingMethod.PKCS5)
GCM = P(block_cipher_mode=BlockCipherMode.GCM, random_iv=True)


def encrypt(key: str, parameters: P | None = CBC) -> Any:
    return calls.encrypt(key, b"data", parameters, None, None)


def test_a_key_that_came_to_be_forbidden_still_decrypts(laboratory: Ruled) -> None:
    """Who forbids an algorithm must still read what was encrypted, unless the rule says otherwise."""
    key = laboratory.key(Mask.ENCRYPT | Mask.DECRYPT, A.DES3, 168)
    result = laboratory.ask(encrypt(key))
    decrypt = calls.decrypt(key, result.data, CBC, result.iv, None, None)
    forbidden = '[algorithms.r]\nalgorithms = { forbidden = ["3DES"] }\n'
    laboratory.rule(forbidden)
    assert laboratory.refusal(encrypt(key))[0] == "PERMISSION_DENIED"
    assert laboratory.ask(decrypt) == b"data"
    laboratory.rule(forbidden + 'process = "refuse"')
    assert laboratory.refusal(decrypt)[0] == "PERMISSION_DENIED"
    laboratory.rule(forbidden + 'process = "refuse"\nfrom = 2027-01-01')
    assert laboratory.ask(decrypt) == b"data"
    assert laboratory.warnings.counts["r"] == 1


def test_an_old_key_protects_no_more_data(laboratory: Ruled) -> None:
    """It still decrypts; its age counts from its activation, not from when it was made."""
    made: str = laboratory.ask(calls.create(A.AES, 256, Mask.ENCRYPT | Mask.DECRYPT, None, None))
    laboratory.pass_time(days=100)
    laboratory.ask(calls.activate(made))
    laboratory.rule("""
        [algorithms.age]
        maximum_age_days = 365
        warn_days = 10
    """)
    laboratory.pass_time(days=354)
    result = laboratory.ask(encrypt(made))
    assert laboratory.warnings.counts == {}
    laboratory.pass_time(days=10)
    laboratory.ask(encrypt(made))
    assert laboratory.warnings.counts == {"age": 1}
    laboratory.pass_time(days=1)
    reason, text = laboratory.refusal(encrypt(made))
    assert (reason, "protects data for 365 days at most" in text) == ("PERMISSION_DENIED", True)
    assert laboratory.ask(calls.decrypt(made, result.data, CBC, result.iv, None, None)) == b"data"
    replacement = laboratory.ask(crypto_calls.re_key(made, None, None))
    assert laboratory.ask(encrypt(replacement))


def wrapped(key: str, wrapper: str, parameters: P | None = None,
            method: WrappingMethod = WrappingMethod.ENCRYPT) -> Any:  # fmt: skip
    information = EncryptionKeyInformation(
        unique_identifier=wrapper, cryptographic_parameters=parameters
    )
    specification = KeyWrappingSpecification(
        wrapping_method=method,
        encryption_key_information=information,
        encoding_option=EncodingOption.NO_ENCODING,
    )
    return calls.raw(
        Operation.GET, GetRequest(unique_identifier=key, key_wrapping_specification=specification)
    )


def test_every_way_to_protect_data_looks_at_the_age(laboratory: Ruled) -> None:
    """Encrypt, Sign, MAC, Wrap, Derive Key and Get Usage Allocation."""
    key = laboratory.key(
        Mask.ENCRYPT | Mask.MAC_GENERATE | Mask.WRAP_KEY | Mask.DERIVE_KEY, A.AES, 128,
        **{"Usage Limits": UsageLimits(usage_limits_total=9, usage_limits_unit=UsageLimitsUnit.OBJECT)},
    )  # fmt: skip
    pair = laboratory.pair(A.ED25519)
    protecting = [
        encrypt(key),
        crypto_calls.sign(pair.private, b"data", None, None),
        crypto_calls.mac(key, b"data", None),
        wrapped(laboratory.key(Mask.ENCRYPT), key),
        CREATING[Operation.DERIVE_KEY](laboratory),
        calls.raw(
            Operation.GET_USAGE_ALLOCATION,
            GetUsageAllocationRequest(unique_identifier=key, usage_limits_count=1),
        ),
    ]
    for call in protecting:
        assert laboratory.ask(call)
    laboratory.rule("[algorithms.age]\nmaximum_age_days = 1")
    laboratory.pass_time(days=1)
    for call in protecting:
        reason, text = laboratory.refusal(call)
        assert (reason, "'age' does not permit it" in text) == ("PERMISSION_DENIED", True)


def parameter_rule(text: str) -> str:
    return f"[algorithms.r]\n{text}\n"


SHA_1 = 'hashing_algorithms = { forbidden = ["SHA-1"] }'


@pytest.mark.parametrize(
    ("text", "refused", "permitted"),
    [
        ('block_cipher_modes = { forbidden = ["ECB"] }', ECB, CBC),
        ('block_cipher_modes = { allowed = ["GCM"] }', CBC, GCM),
        ('padding_methods = { forbidden = ["PKCS5"] }', CBC, GCM),
    ],
)
def test_parameters_of_encryption(laboratory: Ruled, text: str, refused: P, permitted: P) -> None:
    """Those of the request, and those of the key if the request has none."""
    key = laboratory.key(Mask.ENCRYPT | Mask.DECRYPT)
    own = laboratory.key(Mask.ENCRYPT, **{"Cryptographic Parameters": refused})
    secret = laboratory.ask(encrypt(key, refused))
    laboratory.rule(parameter_rule(text))
    for call in (encrypt(key, refused), encrypt(own, None)):
        assert laboratory.refusal(call)[0] == "UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS"
    assert laboratory.ask(encrypt(key, permitted))
    assert (
        laboratory.ask(calls.decrypt(key, secret.data, refused, secret.iv, None, secret.tag))
        == b"data"
    )


DSA = DigitalSignatureAlgorithm


@pytest.mark.parametrize(
    ("text", "algorithm", "refused", "permitted"),
    [
        (SHA_1, A.RSA, P(digital_signature_algorithm=DSA.SHA_1_WITH_RSA_ENCRYPTION),
         P(digital_signature_algorithm=DSA.SHA_256_WITH_RSA_ENCRYPTION)),
        (SHA_1, A.ECDSA, P(hashing_algorithm=HashingAlgorithm.SHA_1), None),
        ("minimum_strength = 112", A.ECDSA, P(hashing_algorithm=HashingAlgorithm.SHA_1), None),
        ('signature_algorithms = { allowed = ["RSASSA-PSS"] }', A.RSA,
         P(hashing_algorithm=HashingAlgorithm.SHA_256),
         P(hashing_algorithm=HashingAlgorithm.SHA_256, padding_method=PaddingMethod.PSS)),
        ('signature_algorithms = { forbidden = ["ECDSA with SHA256"] }', A.ECDSA, None,
         P(hashing_algorithm=HashingAlgorithm.SHA_384)),
    ],
)  # fmt: skip
def test_parameters_of_signatures(
    laboratory: Ruled, text: str, algorithm: A, refused: P | None, permitted: P | None
) -> None:
    """Also if the client describes the algorithm by its parts, or leaves it to the server."""
    pair = laboratory.pair(algorithm, 2048 if algorithm is A.RSA else 256)
    signature = laboratory.ask(crypto_calls.sign(pair.private, b"data", refused, None))
    laboratory.rule(parameter_rule(text))
    sign = crypto_calls.sign(pair.private, b"data", refused, None)
    assert laboratory.refusal(sign)[0] == "UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS"
    assert laboratory.ask(crypto_calls.sign(pair.private, b"data", permitted, None))
    verify = crypto_calls.signature_verify(
        pair.public, b"data", signature=signature, parameters=refused
    )
    assert laboratory.ask(verify) is True


def test_defaults_are_judged_like_what_is_named(laboratory: Ruled) -> None:
    """OAEP uses SHA-1 unless the request says otherwise, so the default evades no rule."""
    pair = laboratory.pair(A.RSA, 2048, usage=(Mask.DECRYPT, Mask.ENCRYPT))
    laboratory.rule(parameter_rule(SHA_1))
    oaep = P(padding_method=PaddingMethod.OAEP)
    assert "SHA-1 is not permitted" in laboratory.refusal(encrypt(pair.public, oaep))[1]
    full = oaep.replace(
        hashing_algorithm=HashingAlgorithm.SHA_256,
        mask_generator_hashing_algorithm=HashingAlgorithm.SHA_256,
    )
    assert laboratory.ask(encrypt(pair.public, full))


def test_hashes_and_macs(laboratory: Ruled) -> None:
    key = laboratory.key(Mask.MAC_GENERATE, A.HMAC_SHA256, 256)
    laboratory.rule(parameter_rule(SHA_1 + '\nalgorithms = { forbidden = ["HMAC-SHA1"] }'))
    assert laboratory.refusal(crypto_calls.digest(b"data", HashingAlgorithm.SHA_1))
    assert laboratory.ask(crypto_calls.digest(b"data", HashingAlgorithm.SHA_256))
    other = P(cryptographic_algorithm=A.HMAC_SHA1)
    assert "HMAC-SHA1" in laboratory.refusal(crypto_calls.mac(key, b"data", other))[1]
    assert laboratory.ask(crypto_calls.mac(key, b"data", None))


def test_wrapping(laboratory: Ruled) -> None:
    """The method and the mode with which a key leaves the server; the default mode as well."""
    key, wrapper = laboratory.key(Mask.ENCRYPT), laboratory.key(Mask.WRAP_KEY | Mask.MAC_GENERATE)
    laboratory.rule(parameter_rule('block_cipher_modes = { allowed = ["AES Key Wrap Padding"] }'))
    padded = P(block_cipher_mode=BlockCipherMode.AESKEYWRAPPADDING)
    reason, text = laboratory.refusal(wrapped(key, wrapper))
    assert (reason, "NISTKeyWrap" in text) == ("UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS", True)
    assert laboratory.ask(wrapped(key, wrapper, padded))
    laboratory.rule(parameter_rule('wrapping_methods = { forbidden = ["Encrypt"] }'))
    assert laboratory.refusal(wrapped(key, wrapper))[0] == "KEY_WRAP_TYPE_NOT_SUPPORTED"


# --- warnings ------------------------------------------------------------------------------------


def test_a_warning_is_logged_once_a_day_for_each_client(
    laboratory: Ruled, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "kmipkit.server")
    laboratory.rule(EVERYTHING_FORBIDDEN + "from = 2027-01-01")

    def logged() -> list[str]:
        lines = [each.getMessage() for each in caplog.records]
        caplog.clear()
        return lines

    for _ in range(3):
        laboratory.ask(AES_KEY)
    assert logged() == [
        "me: the algorithm rule 'nothing' will not permit it from 2027-01-01 00:00 UTC on: AES is"
        " not permitted"
    ]
    laboratory.ask(AES_KEY, identity="other")
    assert [line.partition(":")[0] for line in logged()] == ["other"]
    laboratory.pass_time(days=1)
    laboratory.ask(AES_KEY)
    assert len(logged()) == 1
    assert laboratory.warnings.counts == {"nothing": 5}


def test_what_fails_warns_of_nothing(laboratory: Ruled) -> None:
    """Nothing was made, so nothing will be refused."""
    laboratory.rule(EVERYTHING_FORBIDDEN + "from = 2027-01-01")
    named = calls.register(symmetric_key(bytes(16)), None, "name", None)
    laboratory.ask(named)
    laboratory.refusal(named)
    assert laboratory.warnings.counts == {"nothing": 1}


# --- tenants -------------------------------------------------------------------------------------


def test_a_tenant_adds_rules_to_those_of_the_server(laboratory: Ruled) -> None:
    """It cannot take any away, and others are not concerned by its own."""
    set_tenants(laboratory, tenant("acme"), tenant("globex"))
    laboratory.rule("[algorithms.a]\nminimum_length = { AES = 192 }")
    apply_policy(laboratory, "[algorithms.b]\nminimum_length = { AES = 256 }", "acme")

    def permitted(account: str) -> list[int]:
        found = []
        for bits in (128, 192, 256):
            call = calls.create(A.AES, bits, Mask.ENCRYPT, None, None)
            [result] = laboratory.batch(call, identity=account)
            found += [] if isinstance(result, OperationFailed) else [bits]
        return found

    assert permitted("me") == [192, 256]
    assert permitted("tenant:acme:me") == [256]
    apply_policy(laboratory, "[algorithms.b]\nminimum_length = { AES = 128 }", "acme")
    assert permitted("tenant:acme:me") == [192, 256]
    assert permitted("tenant:globex:me") == [192, 256]
