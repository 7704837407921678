"""Discover Versions and Query: what the server is and what it supports.

The responses follow from the tables that the server itself works by: operations come from the
registry, object types from Register, algorithms from key generation.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from kmipkit.keys.generate import LENGTHS
from kmipkit.keys.pairs import GENERATORS
from kmipkit.model.attributes import RNGParameters
from kmipkit.model.headers import ProtocolVersion
from kmipkit.model.payloads.common import ProtectionStorageMasks
from kmipkit.model.payloads.query import (
    CapabilityInformation,
    DiscoverVersionsRequest,
    DiscoverVersionsResponse,
    ProfileInformation,
    QueryRequest,
    QueryResponse,
)
from kmipkit.spec.enums import (
    ClientRegistrationMethod,
    DestroyAction,
    Operation,
    QueryFunction,
    RNGAlgorithm,
    UnwrapMode,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.profiles import claimable
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import PUBLISHED, V2_0
from kmipkit.ttlv.tree import Item
from kmipkit_server.engine.call import Call
from kmipkit_server.identity.directory import SYSTEM_TYPES
from kmipkit_server.objects import constraints
from kmipkit_server.objects.protection_storage import OWN_STORAGE
from kmipkit_server.objects.registrable import REGISTRABLE


def discover_versions(call: Call, request: DiscoverVersionsRequest) -> DiscoverVersionsResponse:
    """The versions that both sides support, preferred ones first (KMIP 1.4 §4.26).

    A draft version is listed only for clients that name it or already use it, so that no client
    chooses it by accident.
    """
    candidates = {item.version for item in request.protocol_versions} or {*PUBLISHED, call.version}
    return DiscoverVersionsResponse(
        protocol_versions=tuple(
            ProtocolVersion.of(version)
            for version in reversed(call.settings.versions)
            if version in candidates
        )
    )


def _server_information(call: Call) -> Item | None:
    """Server Information, whose fields each vendor defines (KMIP 1.4 §4.25): name and version.

    KMIP 1.x has no tags for these fields. There, it is left out: some clients do not take an empty
    structure.
    """
    if call.version < V2_0:
        return None
    settings = call.settings
    items = (
        Item(Tag.SERVER_NAME, ItemType.TEXT_STRING, settings.server_name),
        Item(Tag.SERVER_VERSION, ItemType.TEXT_STRING, settings.software_version),
    )
    return Item(Tag.SERVER_INFORMATION, ItemType.STRUCTURE, items)


_STREAMING = (
    Operation.ENCRYPT, Operation.DECRYPT, Operation.SIGN, Operation.SIGNATURE_VERIFY, Operation.MAC,
    Operation.MAC_VERIFY, Operation.HASH,
)  # fmt: skip
"""Operations that accept data in several parts."""


def _offers(call: Call, *operations: Operation) -> bool:
    """Whether clients may ask for one of these operations."""
    offered = call.batch.server.offered
    return any(offered.find(operation, call.version) for operation in operations)


def _capabilities(call: Call) -> tuple[CapabilityInformation, ...]:
    return (
        CapabilityInformation(
            streaming_capability=_offers(call, *_STREAMING),
            asynchronous_capability=_offers(call, Operation.POLL),
            attestation_capability=False,
            batch_undo_capability=True,
            batch_continue_capability=True,
            unwrap_mode=UnwrapMode.NOT_PROCESSED,
            destroy_action=DestroyAction.KEY_MATERIAL_DELETED,
            quantum_safe_capability=False,
        ),
    )


OBJECT_TYPES = REGISTRABLE | SYSTEM_TYPES
"""Types of the objects that the server stores."""


def _operations(call: Call) -> tuple[Operation, ...]:
    """The operations that the server accepts or sends, in the client's version."""
    accepted = {row.operation for row in call.batch.server.offered.known_in(call.version)}
    sent = {each for each in call.batch.server.sent if each.known_in(call.version)}
    return tuple(sorted(accepted | sent))


def _profiles(call: Call) -> tuple[ProfileInformation, ...]:
    """The profiles that require nothing the server lacks."""
    profiles = claimable(_operations(call), OBJECT_TYPES, ALGORITHMS, call.version)
    return tuple(
        ProfileInformation(profile_name=name)
        for profile in profiles
        for name in profile.names(call.version)
    )


REGISTRATION_METHODS: Mapping[ClientRegistrationMethod, tuple[Operation, ...]] = MappingProxyType(
    {
        ClientRegistrationMethod.SERVER_PRE_GENERATED: (),
        ClientRegistrationMethod.SERVER_ON_DEMAND: (Operation.CREATE_KEY_PAIR, Operation.CERTIFY),
        ClientRegistrationMethod.CLIENT_GENERATED: (Operation.CERTIFY,),
        ClientRegistrationMethod.CLIENT_REGISTERED: (
            Operation.REGISTER,
            Operation.CREATE_CREDENTIAL,
        ),
    }
)
"""How clients get keys and certificates (KMIP 2.1 §11.10): a client with a user name and password gets
those that were registered for it; Create Key Pair and Certify make them on demand, and Certify takes
a request of the client; Register and Create Credential take a certificate. A method needs one of its
operations."""


def _registration_methods(call: Call) -> tuple[ClientRegistrationMethod, ...]:
    return tuple(
        method
        for method, operations in REGISTRATION_METHODS.items()
        if not operations or _offers(call, *operations)
    )


ALGORITHMS = frozenset(LENGTHS) | frozenset(GENERATORS)
"""Algorithms of the keys that the server makes."""

ResponseField = tuple[str, Callable[[Call], Any]]
"""The name of a field of the response, and the function that computes its value."""

RESPONSE_FIELDS: Mapping[QueryFunction, tuple[ResponseField, ...]] = MappingProxyType(
    {
        QueryFunction.QUERY_OPERATIONS: (("operations", _operations),),
        QueryFunction.QUERY_OBJECTS: (
            (
                "object_types",
                lambda call: tuple(sorted(t for t in OBJECT_TYPES if t.known_in(call.version))),
            ),
        ),
        QueryFunction.QUERY_SERVER_INFORMATION: (
            ("vendor_identification", lambda call: call.settings.vendor),
            ("server_information", _server_information),
        ),
        QueryFunction.QUERY_APPLICATION_NAMESPACES: (
            ("application_namespaces", lambda call: call.settings.application_namespaces),
        ),
        QueryFunction.QUERY_RNGS: (
            (
                # The operating system does not say how its generator is built.
                "rng_parameters",
                lambda call: (RNGParameters(rng_algorithm=RNGAlgorithm.UNSPECIFIED),),
            ),
        ),
        QueryFunction.QUERY_STORAGE_PROTECTION_MASKS: (
            (
                "protection_storage_masks",
                lambda call: ProtectionStorageMasks(masks=(OWN_STORAGE,)),
            ),
        ),
        QueryFunction.QUERY_PROFILES: (("profile_information", _profiles),),
        QueryFunction.QUERY_DEFAULTS_INFORMATION: (
            ("defaults_information", lambda call: constraints.rules_in_force(call).defaults),
        ),
        QueryFunction.QUERY_CLIENT_REGISTRATION_METHODS: (
            ("client_registration_methods", _registration_methods),
        ),
        QueryFunction.QUERY_CAPABILITIES: (("capability_information", _capabilities),),
    }
)
"""Query function -> the fields of its response. This server has nothing to list for the others."""


def query(call: Call, request: QueryRequest) -> QueryResponse:
    """Respond to each known query function (KMIP 1.4 §4.25)."""
    fields = {
        name: value(call)
        for function in request.query_functions
        for name, value in RESPONSE_FIELDS.get(function, ())
    }
    return QueryResponse(**fields)
