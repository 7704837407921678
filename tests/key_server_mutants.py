"""Mutants of a key server: each fault with the step of check-kms that must notice it, and how."""

import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from foreign_key_server import Dropped, ForeignServer, Refusal, got

from kmipkit.model.attribute import Attribute, Attributes, custom
from kmipkit.model.payloads.lifecycle import DestroyResponse, RevokeResponse
from kmipkit.reports import Outcome
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    Operation,
    ResultReason,
    State,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2

Mutate = Callable[[ForeignServer], None]


class Mutant(NamedTuple):
    mutate: Mutate
    step: str
    outcome: Outcome
    words: str


def handler(operation: Operation, change: Callable[[ForeignServer, Any, Any], Any]) -> Mutate:
    """A mutant whose response is changed; ``change`` gets the server, the request and the response."""

    def mutate(server: ForeignServer) -> None:
        original = server.handlers[operation]
        server.handlers[operation] = lambda request: change(server, request, original(request))

    return mutate


def refusing(operation: Operation, reason: ResultReason, when: Any = None) -> Mutate:
    def mutate(server: ForeignServer) -> None:
        original = server.handlers[operation]

        def refuse(request: Any) -> Any:
            if when is None or when(server, request):
                raise Refusal(reason)
            return original(request)

        server.handlers[operation] = refuse

    return mutate


def dropping(operation: Operation) -> Mutate:
    def mutate(server: ForeignServer) -> None:
        def drop(_: Any) -> Any:
            raise Dropped

        server.handlers[operation] = drop

    return mutate


def dropping_sometimes(operation: Operation, number: int) -> Mutate:
    """The connection breaks at the n-th request of an operation."""

    def mutate(server: ForeignServer) -> None:
        original = server.handlers[operation]
        count = iter(range(1, 1 << 30))

        def handle(request: Any) -> Any:
            if next(count) == number:
                raise Dropped
            return original(request)

        server.handlers[operation] = handle

    return mutate


def lacking(operation: Operation) -> Mutate:
    return lambda server: server.handlers.__delitem__(operation)


def late(operation: Operation, seconds: float = 100.0) -> Mutate:
    return lambda server: server.delays.update({operation: seconds})


def setting(**fields: Any) -> Mutate:
    def mutate(server: ForeignServer) -> None:
        for name, value in fields.items():
            setattr(server, name, value)

    return mutate


def with_key(data: Callable[[bytes], bytes]) -> Mutate:
    return handler(
        Operation.GET,
        lambda server, request, _: got(
            request.unique_identifier, data(server.keys[request.unique_identifier].data)
        ),
    )


def block(**fields: Any) -> Mutate:
    def change(_server: ForeignServer, _request: Any, response: Any) -> Any:
        inner = response.object.key_block.replace(**fields)
        return response.replace(object=response.object.replace(key_block=inner))

    return handler(Operation.GET, change)


def is_custom(_server: ForeignServer, request: Any) -> bool:
    return request.attribute.key != Tag.STATE


def missing_attribute(server: ForeignServer, request: Any) -> bool:
    [name] = request.attribute_references
    key = server.keys.get(request.unique_identifier)
    return key is not None and name not in (Tag.STATE, *key.attributes)


def destroyed(server: ForeignServer, request: Any) -> bool:
    key = server.keys.get(request.unique_identifier)
    return key is not None and not key.data


def unknown(server: ForeignServer, request: Any) -> bool:
    return request.unique_identifier not in server.keys


def first_key_again(server: ForeignServer, _request: Any, response: Any) -> Any:
    first = next(iter(server.keys))
    if first != response.unique_identifier:
        del server.keys[response.unique_identifier]
    return response.replace(unique_identifier=first)


def without_state(_server: ForeignServer, _request: Any, response: Any) -> Any:
    kept = [(a.key, a.value) for a in response.attributes if a.key != Tag.STATE]
    return response.replace(attributes=Attributes.of(*kept))


def always_state(state: State) -> Mutate:
    def change(_server: ForeignServer, request: Any, response: Any) -> Any:
        if Tag.STATE not in request.attribute_references:
            return response
        return response.replace(attributes=Attributes.of((Tag.STATE, state)))

    return handler(Operation.GET_ATTRIBUTES, change)


def ascii_only(server: ForeignServer, request: Any, response: Any) -> Any:
    value = request.attribute.value.encode("ascii", "replace").decode()
    server.keys[request.unique_identifier].attributes[request.attribute.key] = value
    return response.replace(attribute=Attribute(request.attribute.key, value))


def tagged_already(server: ForeignServer, _request: Any, response: Any) -> Any:
    server.keys[response.unique_identifier].attributes[custom("x-Vendor")] = "Acme"
    return response


def expiring(server: ForeignServer, _request: Any, response: Any) -> Any:
    """The server removes its oldest key when there are more than four."""
    own = [key for key in server.living if key.startswith("acme-")]
    if len(own) > 4:
        server.keys[min(own, key=list(server.keys).index)].data = b""
    return response


def changing(server: ForeignServer, _request: Any, response: Any) -> Any:
    """The fifth key that becomes active changes the first one."""
    if sum(key.startswith("acme-") for key in server.keys) > 4:
        server.keys[next(key for key in server.keys if key.startswith("acme-"))].data = bytes(
            range(32)
        )
    return response


def making_unknown_keys(server: ForeignServer) -> None:
    original = server.handlers[Operation.GET]

    def get(request: Any) -> Any:
        if request.unique_identifier in server.keys:
            return original(request)
        return got(request.unique_identifier, bytes(32))

    server.handlers[Operation.GET] = get


def without_effect(operation: Operation, response: Any) -> Mutate:
    def mutate(server: ForeignServer) -> None:
        server.handlers[operation] = lambda request: response(
            unique_identifier=request.unique_identifier
        )

    return mutate


def without_payload(operation: Operation) -> Mutate:
    return lambda server: server.handlers.update({operation: lambda _: None})


def damaging(operation: Operation, damage: Callable[[bytes], bytes]) -> Mutate:
    return lambda server: server.damages.update({operation: damage})


FAULTS: dict[str, Callable[[Operation], Mutate]] = {
    "dropped": dropping,
    "lacking": lacking,
    "late": late,
    "without payload": without_payload,
    "refused": lambda operation: refusing(operation, ResultReason.PERMISSION_DENIED),
    "cut off": lambda operation: damaging(operation, lambda data: data[:-8]),
    "HTTP": lambda operation: damaging(operation, lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "another response": lambda operation: damaging(operation, _with_another_operation),
}
"""What can go wrong with the answer to any operation."""


def _with_another_operation(data: bytes) -> bytes:
    name = bytes.fromhex("42005c0500000004")
    return data.replace(name + data[data.index(name) + 8 :][:4], name + b"\0\0\0\x08")  # Locate


IDENTIFIER = "f" * 600
FAILED, WARNED = Outcome.FAILED, Outcome.WARNED
Op, Reason = Operation, ResultReason

MUTANTS: dict[str, Mutant] = {
    # versions
    "without KMIP 1.1": Mutant(
        setting(versions=[V1_2, V1_0]), "versions", FAILED, "does not speak KMIP 1.1"
    ),
    "answers in KMIP 1.0": Mutant(
        setting(answer_version=V1_0), "versions", FAILED, "in KMIP 1.0, the request in KMIP 1.1"
    ),
    "oldest version first": Mutant(
        setting(versions=[V1_0, V1_1, V1_2]), "versions", WARNED, "lists 1.0 1.1 1.2"
    ),
    "without batch item ids": Mutant(
        setting(with_ids=False), "versions", FAILED, "Unique Batch Item ID"
    ),
    "lacks Discover Versions": Mutant(
        lacking(Op.DISCOVER_VERSIONS), "versions", FAILED, "no such operation"
    ),
    "late Discover Versions": Mutant(
        late(Op.DISCOVER_VERSIONS), "versions", FAILED, "no answer within 30 s"
    ),
    # vendor
    "without a vendor": Mutant(setting(vendor=""), "vendor", WARNED, "no Vendor Identification"),
    "lacks Query": Mutant(lacking(Op.QUERY), "vendor", FAILED, "no such operation"),
    # creation
    "lacks Create": Mutant(lacking(Op.CREATE), "create", FAILED, "no such operation"),
    "drops Create": Mutant(dropping(Op.CREATE), "create", FAILED, "the connection broke"),
    "late Create": Mutant(late(Op.CREATE), "create", FAILED, "no answer within 30 s"),
    "one key for equal requests": Mutant(
        handler(Op.CREATE, first_key_again), "create", FAILED, "return the same key"
    ),
    "empty identifier": Mutant(
        handler(Op.CREATE, lambda s, q, r: r.replace(unique_identifier="")),
        "create",
        FAILED,
        "empty Unique Identifier",
    ),
    "long identifier": Mutant(
        handler(Op.CREATE, lambda s, q, r: r.replace(unique_identifier=IDENTIFIER)),
        "create",
        FAILED,
        "600 bytes",
    ),
    "needs a name": Mutant(
        refusing(Op.CREATE, Reason.INVALID_FIELD, lambda s, q: Tag.NAME not in q.attributes),
        "create",
        FAILED,
        "answers CREATE with",
    ),
    # tags
    "refuses custom attributes": Mutant(
        refusing(Op.ADD_ATTRIBUTE, Reason.INVALID_FIELD, is_custom),
        "tag-product",
        WARNED,
        "answers ADD_ATTRIBUTE with",
    ),
    "an unset attribute is an error": Mutant(
        refusing(Op.GET_ATTRIBUTES, Reason.ITEM_NOT_FOUND, missing_attribute),
        "tag-product",
        WARNED,
        "answers GET_ATTRIBUTES with",
    ),
    "attributes in ASCII": Mutant(
        handler(Op.ADD_ATTRIBUTE, ascii_only), "tag-owner", WARNED, "'Buchhaltung (gr??er) ??'"
    ),
    "attributes of its own": Mutant(
        handler(Op.CREATE, tagged_already),
        "tag-product",
        WARNED,
        "has the attribute x-Vendor already",
    ),
    "lacks Modify Attribute": Mutant(
        lacking(Op.MODIFY_ATTRIBUTE), "key-attributes", WARNED, "no such operation"
    ),
    # get
    "lacks Get": Mutant(lacking(Op.GET), "get", FAILED, "no such operation"),
    "drops Get": Mutant(dropping(Op.GET), "get", FAILED, "the connection broke"),
    "late Get": Mutant(late(Op.GET), "get", FAILED, "no answer within 30 s"),
    "no Get before activation": Mutant(
        refusing(
            Op.GET,
            Reason.PERMISSION_DENIED,
            lambda s, q: s.keys[q.unique_identifier].state is State.PRE_ACTIVE,
        ),
        "get",
        FAILED,
        "answers GET with",
    ),
    "another object": Mutant(
        handler(Op.GET, lambda s, q, r: r.replace(unique_identifier="acme-other")),
        "get",
        FAILED,
        "'acme-other'",
    ),
    "short key": Mutant(
        with_key(lambda data: data[:16]), "get", FAILED, "algorithm AES and 128 bits"
    ),
    "long key": Mutant(with_key(lambda data: data * 2), "get", FAILED, "512 bits"),
    "empty key": Mutant(with_key(lambda data: b""), "get", FAILED, "0 bits"),
    "one key for all": Mutant(
        with_key(lambda data: bytes(32)), "get", FAILED, "two keys have the same bytes"
    ),
    "another key each time": Mutant(
        with_key(lambda data: secrets.token_bytes(32)), "get", FAILED, "return different bytes"
    ),
    "another algorithm": Mutant(
        block(cryptographic_algorithm=CryptographicAlgorithm.CAMELLIA),
        "get",
        FAILED,
        "algorithm CAMELLIA",
    ),
    "another format": Mutant(
        block(key_format_type=KeyFormatType.OPAQUE), "get", FAILED, "Key Format Type OPAQUE"
    ),
    # state and activation
    "without a state": Mutant(
        handler(Op.GET_ATTRIBUTES, without_state), "state", FAILED, "a new key has no State"
    ),
    "late state": Mutant(late(Op.GET_ATTRIBUTES), "state", FAILED, "no answer within 30 s"),
    "keys are born deactivated": Mutant(
        always_state(State.DEACTIVATED), "state", FAILED, "State DEACTIVATED"
    ),
    "lacks Activate": Mutant(lacking(Op.ACTIVATE), "activate", FAILED, "no such operation"),
    "drops Activate": Mutant(dropping(Op.ACTIVATE), "activate", FAILED, "the connection broke"),
    "Activate without effect": Mutant(
        always_state(State.PRE_ACTIVE), "activate", FAILED, "is PRE_ACTIVE"
    ),
    # afterwards
    "one connection at a time": Mutant(
        setting(max_connections=1, delays={Op.DISCOVER_VERSIONS: 0.1}),
        "registration",
        FAILED,
        "connection refused",
    ),
    "few connections": Mutant(
        setting(max_connections=5),
        "power-cut",
        FAILED,
        "of 6 connections at the same time 1 failed",
    ),
    "expires keys": Mutant(handler(Op.CREATE, expiring), "re-encrypt", FAILED, "destroyed"),
    "other bytes later": Mutant(
        handler(Op.ACTIVATE, changing), "re-encrypt", FAILED, "has other bytes"
    ),
    "lacks Encrypt": Mutant(lacking(Op.ENCRYPT), "encrypt-on-server", WARNED, "no such operation"),
    "Decrypt with garbage": Mutant(
        handler(Op.DECRYPT, lambda s, q, r: r.replace(data=b"x")),
        "encrypt-on-server",
        WARNED,
        "does not return what was encrypted",
    ),
    "a connection breaks at the first Query": Mutant(
        dropping_sometimes(Op.QUERY, 1), "vendor", WARNED, "only at another attempt; 1 failed"
    ),
    "a connection breaks at the fifth Create": Mutant(
        dropping_sometimes(Op.CREATE, 5), "re-encrypt", WARNED, "the connection broke"
    ),
    # keys that are gone
    "wrong reason for an unknown key": Mutant(
        refusing(Op.GET, Reason.GENERAL_FAILURE, unknown),
        "unknown-key",
        FAILED,
        "GENERAL_FAILURE, not with ITEM_NOT_FOUND",
    ),
    "makes unknown keys": Mutant(
        making_unknown_keys, "unknown-key", FAILED, "does not exist returns a key"
    ),
    "Revoke without effect": Mutant(
        without_effect(Op.REVOKE, RevokeResponse), "deactivated-key", FAILED, "is still ACTIVE"
    ),
    "wrong reason for a destroyed key": Mutant(
        refusing(Op.GET, Reason.CRYPTOGRAPHIC_FAILURE, destroyed),
        "destroyed-key",
        FAILED,
        "CRYPTOGRAPHIC_FAILURE",
    ),
    "Destroy without effect": Mutant(
        without_effect(Op.DESTROY, DestroyResponse),
        "destroyed-key",
        FAILED,
        "was destroyed returns a key",
    ),
}
