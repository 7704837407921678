"""A request for each operation that makes objects, in a laboratory that has what it needs."""

from collections.abc import Callable
from typing import Any

import trio
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.revocation_status import PeerCertificate
from kmipkit_client import calls, messages, opaque_object, symmetric_key
from kmipkit_client.calls import Call
from kmipkit_server.identity.identity import Identity
from laboratory import START, Laboratory

from kmipkit.model.attribute import Attributes, VendorName
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.payloads.certify import (
    CertifyRequest,
    ReCertifyRequest,
    ReProvisionRequest,
)
from kmipkit.model.payloads.create import (
    CreateKeyPairRequest,
    CreateSplitKeyRequest,
    JoinSplitKeyRequest,
)
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.model.payloads.register import ImportRequest
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
    ObjectGroupMember,
    ObjectType,
    Operation,
    SplitKeyMethod,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1
from kmipkit.ttlv.tree import Item

Prepare = Callable[[Laboratory], Call[Any]]
"""Makes what an operation needs, and returns the call."""

CREATE = calls.create(CryptographicAlgorithm.AES, 128, Mask.ENCRYPT | Mask.DERIVE_KEY, None, None)
EVERYTHING = calls.locate(None, None, None, None, None, None)
AES_128 = Attributes.of(
    (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES), (Tag.CRYPTOGRAPHIC_LENGTH, 128)
)
NOTE = VendorName("x", "note")


def _key(laboratory: Laboratory) -> str:
    key: str = laboratory.ask(CREATE)
    laboratory.ask(calls.activate(key))
    return key


PAIR = calls.raw(
    Operation.CREATE_KEY_PAIR,
    CreateKeyPairRequest(
        common_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.EC),
            (Tag.CRYPTOGRAPHIC_LENGTH, 256),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, Mask.SIGN),
        ),
    ),
)


def _re_key_pair(laboratory: Laboratory) -> Call[Any]:
    private = laboratory.ask(PAIR).private_key_unique_identifier
    payload = ReKeyKeyPairRequest(private_key_unique_identifier=private)
    return calls.raw(Operation.RE_KEY_KEY_PAIR, payload)


def _split(key: str | None = None) -> Call[Any]:
    payload = CreateSplitKeyRequest(
        object_type=ObjectType.SPLIT_KEY,
        unique_identifier=key,
        split_key_parts=2,
        split_key_threshold=2,
        split_key_method=SplitKeyMethod.XOR,
        attributes=Attributes((*AES_128, *Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, Mask(0))))),
    )
    return calls.raw(Operation.CREATE_SPLIT_KEY, payload)


def _join(laboratory: Laboratory) -> Call[Any]:
    parts = laboratory.ask(_split()).unique_identifiers
    payload = JoinSplitKeyRequest(
        object_type=ObjectType.SYMMETRIC_KEY,
        unique_identifiers=tuple(map(str, parts)),
        attributes=Attributes(),
    )
    return calls.raw(Operation.JOIN_SPLIT_KEY, payload)


def _derive(laboratory: Laboratory) -> Call[Any]:
    payload = DeriveKeyRequest(
        object_type=ObjectType.SYMMETRIC_KEY,
        unique_identifiers=(_key(laboratory),),
        derivation_method=DerivationMethod.HMAC,
        derivation_parameters=DerivationParameters(
            cryptographic_parameters=CryptographicParameters(
                hashing_algorithm=HashingAlgorithm.SHA_256
            ),
            derivation_data=(b"data",),
        ),
        attributes=AES_128,
    )
    return calls.raw(Operation.DERIVE_KEY, payload)


def _certify(laboratory: Laboratory) -> Call[Any]:
    public = laboratory.ask(PAIR).public_key_unique_identifier
    return calls.raw(Operation.CERTIFY, CertifyRequest(unique_identifier=public))


def _re_certify(laboratory: Laboratory) -> Call[Any]:
    certificate = laboratory.ask(_certify(laboratory)).unique_identifier
    return calls.raw(Operation.RE_CERTIFY, ReCertifyRequest(unique_identifier=certificate))


def import_(*, replaces: bool = False) -> Call[Any]:
    payload = ImportRequest(
        unique_identifier="imported",
        object_type=ObjectType.SYMMETRIC_KEY,
        replace_existing=replaces,
        attributes=Attributes(),
        object=symmetric_key(bytes(16)),
    )
    return calls.raw(Operation.IMPORT, payload)


FRESH_MEMBER = calls.raw(
    Operation.LOCATE,
    LocateRequest(
        object_group_member=ObjectGroupMember.GROUP_MEMBER_FRESH,
        attributes=Attributes.of(
            (Tag.OBJECT_GROUP, Item(Tag.OBJECT_GROUP, ItemType.TEXT_STRING, "default"))
        ),
    ),
)

CREATING: dict[Operation, Prepare] = {
    Operation.CREATE: lambda _: CREATE,
    Operation.CREATE_KEY_PAIR: lambda _: PAIR,
    Operation.REGISTER: lambda _: calls.register(opaque_object(b"data"), None, None, None),
    Operation.RE_KEY: lambda laboratory: calls.raw(
        Operation.RE_KEY, ReKeyRequest(unique_identifier=_key(laboratory))
    ),
    Operation.RE_KEY_KEY_PAIR: _re_key_pair,
    Operation.DERIVE_KEY: _derive,
    Operation.CERTIFY: _certify,
    Operation.RE_CERTIFY: _re_certify,
    Operation.CREATE_SPLIT_KEY: lambda laboratory: _split(_key(laboratory)),
    Operation.JOIN_SPLIT_KEY: _join,
    Operation.IMPORT: lambda _: import_(),
    Operation.LOCATE: lambda _: FRESH_MEMBER,
}


def re_provision(laboratory: Laboratory) -> Any:
    """The result of Re-Provision, which needs a client with a certificate."""
    certificate = Authority.create("ca", "ecdsa-p256", START).issue("me", Purpose.CLIENT, START)
    account = Identity("me", certificate=PeerCertificate.of(certificate.certificate))
    message = encode(
        messages.request(V2_1, [calls.raw(Operation.RE_PROVISION, ReProvisionRequest())]), V2_1
    )

    async def ask() -> Any:
        async with laboratory.serving():
            response = await laboratory.dispatcher.respond(message, account)
        return decode_response(response.data)[0].batch_items[0]

    return trio.run(ask)
