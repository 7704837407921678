"""The section ``[algorithms]`` of a policy, and the strengths that rules compare."""

from datetime import UTC, datetime

import pytest
from kmipkit_server.policy.algorithms.document import MAX_RULES
from kmipkit_server.policy.algorithms.names import TAGS, named, shown
from kmipkit_server.policy.algorithms.strength import (
    strength_of_key,
    strength_of_signature_hash,
)
from kmipkit_server.policy.document import read_policy
from kmipkit_server.policy.errors import PolicyError

from kmipkit.keys import derivation, effective, rsa, wrap
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    HashingAlgorithm,
)

A, H = CryptographicAlgorithm, HashingAlgorithm


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        read_policy(text)
    return caught.value.faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "algorithms.r demands nothing; it needs one of algorithms, curves"),
        ("minimum_lenght = { RSA = 1 }\nquantum_safe = true", "did you mean minimum_length?"),
        ("minimum_length = { RSB = 1 }", "did you mean RSA?"),
        ("minimum_length = { RSA = 0 }", "must be a whole number from 1 to 65536"),
        ("minimum_length = 2048", "must be a table of algorithms"),
        ('algorithms = ["AES"]', "the lists allowed and forbidden"),
        ('algorithms = { allow = ["AES"] }', "the lists allowed and forbidden"),
        ('algorithms = { allowed = "AES" }', "must be a list of names"),
        ('curves = { allowed = ["P-255"] }', "did you mean P-"),
        ('usage = ["Encrypted"]\nquantum_safe = true', "did you mean ENCRYPT?"),
        ("quantum_safe = 1", "must be true or false"),
        ('quantum_safe = true\nfrom = "2027-01-01"', "without quotation marks"),
        ("quantum_safe = true\nfrom = 2027-01-01T00:00:00", "needs a time zone"),
        ("quantum_safe = true\nprocess = true", 'must be "allow" or "refuse"'),
        ("maximum_age_days = 0", "must be a whole number from 1"),
        ("maximum_age_days = true", "must be a whole number from 1"),
    ],
)
def test_a_fault_says_where_it_is_and_what_to_do(text: str, fault: str) -> None:
    [found] = faults(f"[algorithms.r]\n{text}")
    assert found.startswith("policy:")
    assert fault in found


def test_all_faults_are_told_at_once() -> None:
    assert len(faults("[algorithms.r]\nquantum_safe = 1\nfoo = 1\n[algorithms.s]\n")) == 3
    assert faults("algorithms = 1") == ("policy:1: algorithms must be a table",)
    many = "".join(f"[algorithms.a{n}]\nquantum_safe = true\n" for n in range(201))
    assert str(MAX_RULES) in faults(many)[0]


def test_a_date_is_that_of_its_beginning_in_utc() -> None:
    for text in ("2027-01-01", "2027-01-01T00:00:00Z", "2027-01-01T02:00:00+02:00"):
        policy = read_policy(f"[algorithms.r]\nquantum_safe = true\nfrom = {text}")
        [rule] = policy.sections["algorithms"].rules
        assert rule.since == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", TAGS, ids=lambda kind: kind.__name__)
def test_every_value_has_a_name_that_can_be_written(kind: type) -> None:
    """What a message shows is what a document may say."""
    for member in kind:
        assert named(kind, shown(member)) is member


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("3DES", A.DES3), ("Triple DES", A.DES3), ("hmac-sha256", A.HMAC_SHA256), ("aes", A.AES)],
)
def test_usual_names(name: str, algorithm: A) -> None:
    assert named(CryptographicAlgorithm, name) is algorithm


@pytest.mark.parametrize(
    ("algorithm", "length", "strength"),
    [
        # NIST SP 800-57 Part 1 Rev. 5, Table 2
        (A.DES3, 112, 80), (A.DES3, 168, 112), (A.AES, 128, 128), (A.AES, 192, 192),
        (A.AES, 256, 256), (A.RSA, 512, 0), (A.RSA, 1024, 80), (A.RSA, 2047, 80),
        (A.RSA, 2048, 112), (A.RSA, 3072, 128), (A.RSA, 7680, 192), (A.RSA, 15360, 256),
        (A.DSA, 2048, 112), (A.DH, 3072, 128), (A.EC, 160, 80), (A.ECDSA, 224, 112),
        (A.ECDH, 256, 128), (A.ECDSA, 384, 192), (A.ECDSA, 521, 256), (A.ECDSA, 112, 0),
        # Table 3, and the key itself
        (A.HMAC_SHA256, 256, 256), (A.HMAC_SHA256, 64, 64), (A.HMAC_SHA1, 160, 128),
        # FIPS 203, 204, 205; SP 800-186
        (A.ML_KEM_768, None, 192), (A.ML_DSA_44, None, 128), (A.SLH_DSA_SHAKE_256F, None, 256),
        (A.ED25519, 256, 128), (A.ED448, 456, 224),
        (A.RC4, 128, 0), (A.DES, 56, 56), (A.RSA, None, None), (A.MCELIECE, 100, None),
    ],
)  # fmt: skip
def test_strengths_of_keys(algorithm: A, length: int | None, strength: int | None) -> None:
    assert strength_of_key(algorithm, length) == strength


def test_strengths_of_hashes_in_signatures() -> None:
    """Table 3, first column: collisions."""
    strengths = [
        strength_of_signature_hash(each) for each in (H.SHA_1, H.SHA_224, H.SHA_256, H.SHA_512)
    ]
    assert strengths == [0, 112, 128, 256]


def test_the_defaults_are_those_of_the_computations() -> None:
    """Rules see what is computed, not what the request says."""
    wrapping = effective.wrapping(A.AES, Parameters())
    assert wrapping.block_cipher_mode is wrap.DEFAULT_MODE is BlockCipherMode.NISTKEYWRAP
    with_rsa = effective.wrapping(A.RSA, Parameters())
    assert with_rsa.padding_method is wrap.DEFAULT_PADDING
    assert with_rsa.hashing_algorithm is rsa._oaep_hash(Parameters())
    for method, default in derivation.DEFAULT_HASHES.items():
        assert effective.derived(method, A.AES, Parameters()).hashing_algorithm is default
