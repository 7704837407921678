"""Key pairs, replacements, derived and split keys: the objects and links that come of them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from kmipkit_client import OperationFailed, calls, symmetric_key
from kmipkit_client.calls import Call
from laboratory import START, Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import (
    CryptographicDomainParameters,
    CryptographicParameters,
    Link,
    Name,
    UsageLimits,
)
from kmipkit.model.keyblock import KeyBlock, KeyValue, TransparentECPrivateKey
from kmipkit.model.objects import PrivateKey, SecretData, SplitKey
from kmipkit.model.payloads.create import (
    CreateKeyPairRequest,
    CreateSplitKeyRequest,
    JoinSplitKeyRequest,
)
from kmipkit.model.payloads.lifecycle import GetUsageAllocationRequest, ObtainLeaseRequest
from kmipkit.model.payloads.rekey import (
    DerivationParameters,
    DeriveKeyRequest,
    ReKeyKeyPairRequest,
    ReKeyRequest,
)
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    KeyFormatType,
    LinkType,
    NameType,
    ObjectType,
    Operation,
    RecommendedCurve,
    SecretDataType,
    SplitKeyMethod,
    State,
    UsageLimitsUnit,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_4, V2_1, Version

A = CryptographicAlgorithm
SIGN, VERIFY = CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY
DERIVE = CryptographicUsageMask.DERIVE_KEY
BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
GF_8 = SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_8


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path)
    yield made
    made.close()


def name(text: str) -> Name:
    return Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def attributes_of(laboratory: Laboratory, identifier: str) -> Attributes:
    found = laboratory.ask(calls.get_attributes(identifier, ()))
    assert isinstance(found, Attributes)
    return found


def links(laboratory: Laboratory, identifier: str) -> set[tuple[LinkType, str]]:
    return {
        (link.link_type, link.linked_object_identifier)
        for link in attributes_of(laboratory, identifier).all(Tag.LINK)
    }


def names(laboratory: Laboratory, identifier: str) -> list[str]:
    return [name.name_value for name in attributes_of(laboratory, identifier).all(Tag.NAME)]


def material_of(
    laboratory: Laboratory, identifier: str, key_format: KeyFormatType | None = None
) -> Any:
    value = laboratory.ask(calls.get(identifier, key_format, None, None))
    return value.key_block.key_value.key_material


def refusal(laboratory: Laboratory, call: Call[Any], version: Version = V2_1) -> str:
    with pytest.raises(OperationFailed) as caught:
        laboratory.ask(call, version)
    assert caught.value.reason is not None
    return caught.value.reason.name


# --- key pairs ------------------------------------------------------------------------------------


def create_pair(
    algorithm: CryptographicAlgorithm | None = A.RSA,
    bits: int | None = None,
    curve: RecommendedCurve | None = None,
    private: Attributes | None = None,
    public: Attributes | None = None,
) -> Call[Any]:
    pairs: list[tuple[Tag, Any]] = []
    if algorithm is not None:
        pairs.append((Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm))
    if bits is not None:
        pairs.append((Tag.CRYPTOGRAPHIC_LENGTH, bits))
    if curve is not None:
        domain = CryptographicDomainParameters(recommended_curve=curve)
        pairs.append((Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS, domain))
    return calls.raw(
        Operation.CREATE_KEY_PAIR,
        CreateKeyPairRequest(
            common_attributes=Attributes.of(*pairs),
            private_key_attributes=private or Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, SIGN)),
            public_key_attributes=public or Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, VERIFY)),
        ),
    )


@pytest.mark.parametrize(
    ("algorithm", "bits", "curve", "kind", "length"),
    [
        (A.RSA, 1024, None, rsa.RSAPrivateKey, 1024),
        (A.RSA, None, None, rsa.RSAPrivateKey, 2048),
        (A.ECDSA, 384, None, ec.EllipticCurvePrivateKey, 384),
        (A.EC, None, RecommendedCurve.SECP256K1, ec.EllipticCurvePrivateKey, 256),
        (A.ED25519, None, None, ed25519.Ed25519PrivateKey, 256),
    ],
)
@pytest.mark.parametrize("version", [V1_0, V1_4, V2_1], ids=str)
def test_a_pair_is_two_linked_objects(
    laboratory: Laboratory,
    version: Version,
    algorithm: CryptographicAlgorithm,
    bits: int | None,
    curve: RecommendedCurve | None,
    kind: type,
    length: int,
) -> None:
    if not algorithm.known_in(version) or (curve is not None and not curve.known_in(version)):
        pytest.skip(f"KMIP {version} does not have it")
    made = laboratory.ask(create_pair(algorithm, bits, curve), version)
    private, public = made.private_key_unique_identifier, made.public_key_unique_identifier
    assert (LinkType.PUBLIC_KEY_LINK, public) in links(laboratory, private)
    assert (LinkType.PRIVATE_KEY_LINK, private) in links(laboratory, public)
    data = material_of(laboratory, private, KeyFormatType.PKCS_8)
    key = load_der_private_key(data, None)
    assert isinstance(key, kind)
    data = material_of(laboratory, public, KeyFormatType.X_509)
    assert load_der_public_key(data) == key.public_key()
    for half, mask in ((private, SIGN), (public, VERIFY)):
        found = attributes_of(laboratory, half)
        assert found.get(Tag.CRYPTOGRAPHIC_LENGTH) == length
        assert found.get(Tag.CRYPTOGRAPHIC_ALGORITHM) == algorithm
        assert found.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) == mask


def test_the_placeholder_after_a_pair_is_the_private_key(laboratory: Laboratory) -> None:
    made, got = laboratory.batch(
        create_pair(bits=1024), calls.get_attributes(None, ("Object Type",))
    )  # type: ignore[arg-type]  # values of several types
    assert got.get(Tag.OBJECT_TYPE) is ObjectType.PRIVATE_KEY
    assert made.private_key_unique_identifier


def test_what_is_said_of_one_half_comes_before_what_is_said_of_both(laboratory: Laboratory) -> None:
    common = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, A.RSA),
        (Tag.CRYPTOGRAPHIC_LENGTH, 1024),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, VERIFY),
        (Tag.OBJECT_GROUP, "both"),
    )
    private = Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, SIGN), (Tag.OBJECT_GROUP, "mine"))
    request = CreateKeyPairRequest(common_attributes=common, private_key_attributes=private)
    made = laboratory.ask(calls.raw(Operation.CREATE_KEY_PAIR, request))
    own = attributes_of(laboratory, made.private_key_unique_identifier)
    assert own.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) == SIGN
    assert sorted(own.all(Tag.OBJECT_GROUP)) == ["both", "mine"]
    other = attributes_of(laboratory, made.public_key_unique_identifier)
    assert other.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) == VERIFY


@pytest.mark.parametrize(
    "call",
    [
        create_pair(None),
        create_pair(A.AES),
        create_pair(A.RSA, 1000),
        create_pair(A.ECDSA, 255),
        create_pair(A.ECDSA, None, RecommendedCurve.CURVE25519),
        create_pair(A.ECDSA, None, RecommendedCurve.SECP112R1),
        create_pair(A.RSA, 1024, public=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 2048))),
    ],
)
def test_pairs_that_are_not_made(laboratory: Laboratory, call: Call[Any]) -> None:
    assert refusal(laboratory, call) == "INVALID_FIELD"
    assert laboratory.ask(calls.locate(None, *[None] * 5)).ids == ()


def test_a_pair_is_replaced_as_a_pair(laboratory: Laboratory) -> None:
    made = laboratory.ask(
        create_pair(
            A.ECDSA,
            private=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, SIGN), (Tag.NAME, name("p"))),
        )
    )
    old = (made.private_key_unique_identifier, made.public_key_unique_identifier)
    request = ReKeyKeyPairRequest(private_key_unique_identifier=old[0])
    again = laboratory.ask(calls.raw(Operation.RE_KEY_KEY_PAIR, request))
    new = (again.private_key_unique_identifier, again.public_key_unique_identifier)
    assert (names(laboratory, old[0]), names(laboratory, new[0])) == ([], ["p"])
    for before, after in zip(old, new, strict=True):
        assert (LinkType.REPLACEMENT_OBJECT_LINK, after) in links(laboratory, before)
        assert (LinkType.REPLACED_OBJECT_LINK, before) in links(laboratory, after)
        assert material_of(laboratory, before) != material_of(laboratory, after)
    assert (LinkType.PUBLIC_KEY_LINK, new[1]) in links(laboratory, new[0])
    assert attributes_of(laboratory, new[0]).get(Tag.CRYPTOGRAPHIC_USAGE_MASK) == SIGN
    assert refusal(laboratory, calls.raw(Operation.RE_KEY, ReKeyRequest(unique_identifier=new[0])))


# --- replacements ---------------------------------------------------------------------------------


def rekey(identifier: str, offset: int | None = None, **attributes: Any) -> Call[Any]:
    given = Attributes.of(*((Tag[key.upper()], value) for key, value in attributes.items()))
    return calls.raw(
        Operation.RE_KEY,
        ReKeyRequest(
            unique_identifier=identifier, offset=offset, attributes=given if attributes else None
        ),
    )


def test_a_replacement_takes_over_names_and_attributes(laboratory: Laboratory) -> None:
    limits = UsageLimits(
        usage_limits_total=10, usage_limits_count=3, usage_limits_unit=UsageLimitsUnit.OBJECT
    )
    old = laboratory.ask(
        calls.create(A.AES, 192, BOTH, "the key", {"Contact Information": "Зоя", "x-Inhaber": "J"})
    )
    laboratory.ask(calls.add_attribute(old, "Usage Limits", limits))
    laboratory.ask(calls.activate(old))
    laboratory.pass_time(days=1)
    new = laboratory.ask(rekey(old, name=name("another"))).unique_identifier
    assert names(laboratory, old) == []
    assert names(laboratory, new) == ["the key", "another"]
    found, before = attributes_of(laboratory, new), attributes_of(laboratory, old)
    assert found.get(Tag.CONTACT_INFORMATION) == "Зоя"
    assert found.get(Tag.CRYPTOGRAPHIC_LENGTH) == 192
    assert found.get(Tag.USAGE_LIMITS).usage_limits_count == 10
    assert found.get(Tag.STATE) is State.ACTIVE  # the Activation Date is copied
    assert found.get(Tag.INITIAL_DATE) == START + timedelta(days=1)
    assert found.get(Tag.DIGEST) != before.get(Tag.DIGEST)
    assert len(found.all(Tag.DIGEST)) == 1
    assert links(laboratory, old) == {(LinkType.REPLACEMENT_OBJECT_LINK, new)}
    assert links(laboratory, new) == {(LinkType.REPLACED_OBJECT_LINK, old)}
    assert len(material_of(laboratory, new)) == 24
    assert material_of(laboratory, new) != material_of(laboratory, old)


def test_an_offset_moves_the_dates(laboratory: Laboratory) -> None:
    """KMIP 1.4 §4.4, Table 172."""
    old = laboratory.ask(
        calls.create(
            A.AES,
            128,
            BOTH,
            None,
            {"Activation Date": START, "Protect Stop Date": START + timedelta(days=10)},
        )
    )
    laboratory.pass_time(days=1)
    found = attributes_of(laboratory, laboratory.ask(rekey(old, 3600)).unique_identifier)
    activation = START + timedelta(days=1, hours=1)
    assert found.get(Tag.ACTIVATION_DATE) == activation
    assert found.get(Tag.PROTECT_STOP_DATE) == activation + timedelta(days=10)
    assert found.get(Tag.STATE) is State.PRE_ACTIVE


def test_what_cannot_be_replaced(laboratory: Laboratory) -> None:
    gone = laboratory.ask(calls.create(A.AES, 128, BOTH, None, None))
    laboratory.ask(calls.destroy(gone))
    assert refusal(laboratory, rekey(gone)) == "OBJECT_DESTROYED"
    assert refusal(laboratory, rekey("nothing")) == "OBJECT_NOT_FOUND"


# --- derived keys ---------------------------------------------------------------------------------


def derive(
    *bases: str,
    method: DerivationMethod = DerivationMethod.HMAC,
    object_type: ObjectType = ObjectType.SYMMETRIC_KEY,
    bits: int | None = 128,
    data: bytes | None = b"\x01\x02",
    algorithm: CryptographicAlgorithm | None = A.AES,
) -> Call[Any]:
    given = [(Tag.CRYPTOGRAPHIC_USAGE_MASK, BOTH)]
    extra: list[tuple[Tag, Any]] = []
    if bits is not None:
        extra.append((Tag.CRYPTOGRAPHIC_LENGTH, bits))
    if algorithm is not None:
        extra.append((Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm))
    return calls.raw(
        Operation.DERIVE_KEY,
        DeriveKeyRequest(
            object_type=object_type,
            unique_identifiers=bases,
            derivation_method=method,
            derivation_parameters=DerivationParameters(
                cryptographic_parameters=CryptographicParameters(
                    hashing_algorithm=HashingAlgorithm.SHA_256
                ),
                derivation_data=(data,) if data is not None else (),
            ),
            attributes=Attributes.of(*given, *extra),
        ),
    )


def base_key(laboratory: Laboratory, mask: CryptographicUsageMask = DERIVE) -> str:
    value = symmetric_key(bytes.fromhex("00112233445566778899aabbccddeeff"))
    key: str = laboratory.ask(calls.register(value, mask, None, None))
    laboratory.ask(calls.activate(key))
    return key


def registered_secret(laboratory: Laboratory) -> str:
    value = SecretData(
        secret_data_type=SecretDataType.PASSWORD,
        key_block=KeyBlock(
            key_format_type=KeyFormatType.OPAQUE, key_value=KeyValue(key_material=b"data")
        ),
    )
    secret: str = laboratory.ask(calls.register(value, DERIVE, None, None))
    laboratory.ask(calls.activate(secret))
    return secret


def test_a_derived_key_is_linked_to_its_base(laboratory: Laboratory) -> None:
    base = base_key(laboratory)
    key = laboratory.ask(derive(base)).unique_identifier
    assert material_of(laboratory, key).hex() == "1e15c1f1da233629f770fb0a04a5020e"
    assert links(laboratory, key) == {(LinkType.DERIVATION_BASE_OBJECT_LINK, base)}
    assert links(laboratory, base) == {(LinkType.DERIVED_KEY_LINK, key)}
    found = attributes_of(laboratory, key)
    assert found.get(Tag.CRYPTOGRAPHIC_LENGTH) == 128
    assert found.get(Tag.STATE) is State.PRE_ACTIVE


def test_secret_data_can_be_derived_and_derived_from(laboratory: Laboratory) -> None:
    base = base_key(laboratory)
    call = derive(base, object_type=ObjectType.SECRET_DATA, bits=256, algorithm=None)
    secret = laboratory.ask(call).unique_identifier
    value = laboratory.ask(calls.get(secret, None, None, None))
    assert isinstance(value, SecretData)
    assert len(material_of(laboratory, secret)) == 32


def test_two_pairs_derive_the_same_key(laboratory: Laboratory) -> None:
    mask = Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, DERIVE))
    made = [laboratory.ask(create_pair(A.ECDH, 256, private=mask, public=mask)) for _ in range(2)]
    privates = [pair.private_key_unique_identifier for pair in made]
    publics = [pair.public_key_unique_identifier for pair in made]
    for identifier in (*privates, *publics):
        laboratory.ask(calls.activate(identifier))
    agree = DerivationMethod.ASYMMETRIC_KEY
    keys = [
        laboratory.ask(derive(private, public, method=agree, bits=256)).unique_identifier
        for private, public in zip(privates, reversed(publics), strict=True)
    ]
    assert material_of(laboratory, keys[0]) == material_of(laboratory, keys[1])
    assert refusal(laboratory, derive(*publics, method=agree)) == "INVALID_FIELD"


def test_what_is_not_derived(laboratory: Laboratory) -> None:
    base, other = base_key(laboratory), base_key(laboratory, BOTH)
    assert refusal(laboratory, derive(other)) == "INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK"
    assert refusal(laboratory, derive(base, bits=None)) == "INVALID_FIELD"
    assert refusal(laboratory, derive(base, bits=512)) == "INVALID_FIELD"
    assert refusal(laboratory, derive(base, algorithm=None)) == "INVALID_FIELD"
    assert refusal(laboratory, derive(base, data=None)) == "INVALID_FIELD"
    assert refusal(laboratory, derive(base, base)) == "INVALID_FIELD"
    secret = registered_secret(laboratory)  # and the data: ambiguous (KMIP 1.4 §11.7)
    assert refusal(laboratory, derive(base, secret)) == "INVALID_MESSAGE"
    call = derive(base, object_type=ObjectType.CERTIFICATE)
    assert refusal(laboratory, call) == "INVALID_OBJECT_TYPE"
    assert links(laboratory, base) == set()


# --- split keys -----------------------------------------------------------------------------------


def split(
    identifier: str | None = None, method: SplitKeyMethod = GF_8, threshold: int = 2
) -> Call[Any]:
    given = (
        ()
        if identifier
        else (
            (Tag.CRYPTOGRAPHIC_ALGORITHM, A.AES),
            (Tag.CRYPTOGRAPHIC_LENGTH, 128),
        )
    )
    return calls.raw(
        Operation.CREATE_SPLIT_KEY,
        CreateSplitKeyRequest(
            object_type=ObjectType.SPLIT_KEY,
            unique_identifier=identifier,
            split_key_parts=3,
            split_key_threshold=threshold,
            split_key_method=method,
            attributes=Attributes.of(*given),
        ),
    )


def join(*parts: str, object_type: ObjectType = ObjectType.SYMMETRIC_KEY) -> Call[Any]:
    return calls.raw(
        Operation.JOIN_SPLIT_KEY,
        JoinSplitKeyRequest(object_type=object_type, unique_identifiers=parts),
    )


@pytest.mark.parametrize(("method", "threshold"), [(GF_8, 2), (SplitKeyMethod.XOR, 3)])
def test_a_key_is_split_and_joined(
    laboratory: Laboratory, method: SplitKeyMethod, threshold: int
) -> None:
    key = base_key(laboratory)
    parts = laboratory.ask(split(key, method, threshold)).unique_identifiers
    assert len(parts) == 3
    for number, part in enumerate(parts, 1):
        value = laboratory.ask(calls.get(part, None, None, None))
        assert isinstance(value, SplitKey)
        assert (value.key_part_identifier, value.split_key_threshold) == (number, threshold)
        assert material_of(laboratory, part) != material_of(laboratory, key)
    joined = laboratory.ask(join(*parts[-threshold:])).unique_identifier
    assert material_of(laboratory, joined) == material_of(laboratory, key)
    as_secret = laboratory.ask(join(*parts, object_type=ObjectType.SECRET_DATA)).unique_identifier
    assert material_of(laboratory, as_secret) == material_of(laboratory, key)
    assert refusal(laboratory, join(*parts[: threshold - 1])) == "CRYPTOGRAPHIC_FAILURE"


def test_the_parts_of_a_new_key_and_of_another_do_not_mix(laboratory: Laboratory) -> None:
    one = laboratory.ask(split()).unique_identifiers
    other = laboratory.ask(split(threshold=3)).unique_identifiers
    assert laboratory.ask(join(*one[:2]))
    assert refusal(laboratory, join(one[0], other[1])) == "INVALID_FIELD"
    key = base_key(laboratory)
    assert refusal(laboratory, join(key, one[0])) == "INVALID_OBJECT_TYPE"
    call = join(*one, object_type=ObjectType.CERTIFICATE)
    assert refusal(laboratory, call) == "INVALID_OBJECT_TYPE"


def test_what_may_not_leave_is_not_split(laboratory: Laboratory) -> None:
    """Or its parts would be a way around the attribute."""
    kept = laboratory.ask(calls.create(A.AES, 128, BOTH, None, {"Extractable": False}))
    assert refusal(laboratory, split(kept)) == "NOT_EXTRACTABLE"
    hidden = laboratory.ask(calls.create(A.AES, 128, BOTH, None, {"Sensitive": True}))
    parts = laboratory.ask(split(hidden)).unique_identifiers
    assert refusal(laboratory, calls.get(parts[0], None, None, None)) == "SENSITIVE"


# --- leases and allocations -----------------------------------------------------------------------


def test_a_lease_tells_when_the_object_changed_last(laboratory: Laboratory) -> None:
    key = laboratory.ask(calls.create(A.AES, 128, BOTH, None, None))
    laboratory.pass_time(hours=2)
    laboratory.ask(calls.activate(key))
    laboratory.pass_time(hours=2)
    lease = laboratory.ask(
        calls.raw(Operation.OBTAIN_LEASE, ObtainLeaseRequest(unique_identifier=key))
    )
    assert (lease.lease_time, lease.last_change_date) == (3600, START + timedelta(hours=2))


def test_an_allocation_is_taken_from_the_limits(laboratory: Laboratory) -> None:
    limits = UsageLimits(
        usage_limits_total=10, usage_limits_count=10, usage_limits_unit=UsageLimitsUnit.BYTE
    )
    key = laboratory.ask(calls.create(A.AES, 128, BOTH, None, None))

    def take(count: int) -> Call[Any]:
        return calls.raw(
            Operation.GET_USAGE_ALLOCATION,
            GetUsageAllocationRequest(unique_identifier=key, usage_limits_count=count),
        )

    assert refusal(laboratory, take(1)) == "ATTRIBUTE_NOT_FOUND"
    laboratory.ask(calls.add_attribute(key, "Usage Limits", limits))
    assert refusal(laboratory, take(1)) == "WRONG_KEY_LIFECYCLE_STATE"
    laboratory.ask(calls.activate(key))
    laboratory.ask(take(7))
    assert refusal(laboratory, take(4)) == "PERMISSION_DENIED"
    assert refusal(laboratory, take(-4)) == "INVALID_FIELD"
    left = attributes_of(laboratory, key).get(Tag.USAGE_LIMITS)
    assert left.usage_limits_count == 3


def test_link_values_are_what_other_versions_read(laboratory: Laboratory) -> None:
    made = laboratory.ask(create_pair(A.ECDSA), V1_4)
    found = laboratory.ask(
        calls.get_attributes(made.private_key_unique_identifier, ("Link",)), V1_0
    )
    assert found.get(Tag.LINK) == Link(
        link_type=LinkType.PUBLIC_KEY_LINK,
        linked_object_identifier=made.public_key_unique_identifier,
    )


def test_a_key_in_a_format_that_2_0_dropped_is_kept(laboratory: Laboratory) -> None:
    """Clients of 1.x have them; the store's own form is that of 2.1."""
    material = TransparentECPrivateKey(recommended_curve=RecommendedCurve.P_256, d=12345)
    block = KeyBlock(
        key_format_type=KeyFormatType.TRANSPARENT_ECDSA_PRIVATE_KEY,
        key_value=KeyValue(key_material=material),
        cryptographic_algorithm=A.ECDSA,
        cryptographic_length=256,
    )
    value = PrivateKey(key_block=block)
    key = laboratory.ask(calls.register(value, SIGN, "old", None), V1_4)
    assert laboratory.ask(calls.get(key, None, None, None), V1_4) == value
    digest = laboratory.ask(calls.get_attributes(key, ("Digest",)), V1_4).get(Tag.DIGEST)
    assert digest.key_format_type is KeyFormatType.TRANSPARENT_ECDSA_PRIVATE_KEY
    assert names(laboratory, key) == ["old"]  # 2.1 sees what it can say
