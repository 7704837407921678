"""Discover Versions and Query: what the server is and can do, told truthfully.

Nothing here is a list kept by hand: operations come from the registry, object types from what
Register takes, capabilities from what is built in.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from kmipkit.keys.generate import LENGTHS
from kmipkit.keys.pairs import GENERATORS
from kmipkit.model.attributes import RNGParameters
from kmipkit.model.headers import ProtocolVersion
from kmipkit.model.payloads.query import (
    CapabilityInformation,
    DiscoverVersionsRequest,
    DiscoverVersionsResponse,
    ProfileInformation,
    QueryRequest,
    QueryResponse,
)
from kmipkit.spec.enums import (
    DestroyAction,
    Operation,
    QueryFunction,
    RNGAlgorithm,
    UnwrapMode,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.profiles import claimable
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import PUBLISHED, Version
from kmipkit.ttlv.tree import Item
from kmipkit_server.engine.call import Call
from kmipkit_server.identity.directory import SYSTEM_TYPES
from kmipkit_server.objects import constraints
from kmipkit_server.objects.registrable import REGISTRABLE
from kmipkit_server.operations.notify import SENT


def discover_versions(call: Call, request: DiscoverVersionsRequest) -> DiscoverVersionsResponse:
    """The versions that both sides speak, best first (KMIP 1.4 §4.26).

    A draft is told to those only who name it or speak it: nobody shall choose it by chance.
    """
    asked = {one.version for one in request.protocol_versions} or {*PUBLISHED, call.version}
    return DiscoverVersionsResponse(
        protocol_versions=tuple(
            ProtocolVersion.of(version)
            for version in reversed(call.settings.versions)
            if version in asked
        )
    )


def _server_information(call: Call) -> Item:
    """Structure whose contents are the vendor's (KMIP 1.4 §4.25): name and version as text."""
    facts = call.settings
    texts = ((Tag.SERVER_NAME, facts.server_name), (Tag.SERVER_VERSION, facts.software_version))
    items = (
        tuple(Item(tag, ItemType.TEXT_STRING, text) for tag, text in texts)
        if call.version >= Version(2, 0)
        else ()
    )
    return Item(Tag.SERVER_INFORMATION, ItemType.STRUCTURE, items)


def _capabilities(call: Call) -> tuple[CapabilityInformation, ...]:  # noqa: ARG001
    return (
        CapabilityInformation(
            streaming_capability=True,
            asynchronous_capability=True,
            attestation_capability=False,
            batch_undo_capability=True,
            batch_continue_capability=True,
            unwrap_mode=UnwrapMode.NOT_PROCESSED,
            destroy_action=DestroyAction.KEY_MATERIAL_DELETED,
            quantum_safe_capability=False,
        ),
    )


KEPT = REGISTRABLE | SYSTEM_TYPES
"""Types of the objects that the server keeps."""


def _offered(call: Call) -> tuple[Operation, ...]:
    """What clients may ask for, and what the server may send, in the client's version."""
    served = {row.operation for row in call.batch.server.registry.known_in(call.version)}
    sent = {code for code in SENT if code.known_in(call.version)}
    return tuple(sorted(served | sent))


def _profiles(call: Call) -> tuple[ProfileInformation, ...]:
    """The profiles for which everything is there."""
    found = claimable(_offered(call), KEPT, ALGORITHMS, call.version)
    return tuple(
        ProfileInformation(profile_name=name)
        for profile in found
        for name in profile.names(call.version)
    )


ALGORITHMS = frozenset(LENGTHS) | frozenset(GENERATORS)
"""Algorithms of the keys that the server makes."""

Answer = tuple[str, Callable[[Call], Any]]

ANSWERS: Mapping[QueryFunction, tuple[Answer, ...]] = MappingProxyType(
    {
        QueryFunction.QUERY_OPERATIONS: (
            (
                "operations",
                _offered,
            ),
        ),
        QueryFunction.QUERY_OBJECTS: (
            (
                "object_types",
                lambda call: tuple(sorted(t for t in KEPT if t.known_in(call.version))),
            ),
        ),
        QueryFunction.QUERY_SERVER_INFORMATION: (
            ("vendor_identification", lambda call: call.settings.vendor),
            ("server_information", _server_information),
        ),
        QueryFunction.QUERY_RNGS: (
            (
                # The operating system does not say how its generator is built.
                "rng_parameters",
                lambda call: (RNGParameters(rng_algorithm=RNGAlgorithm.UNSPECIFIED),),
            ),
        ),
        QueryFunction.QUERY_PROFILES: (("profile_information", _profiles),),
        QueryFunction.QUERY_DEFAULTS_INFORMATION: (
            ("defaults_information", lambda call: constraints.rules_in_force(call).defaults),
        ),
        QueryFunction.QUERY_CAPABILITIES: (("capability_information", _capabilities),),
    }
)
"""Query function -> the fields that answer it; the others have nothing to tell here."""


def query(call: Call, request: QueryRequest) -> QueryResponse:
    """Answer each query function that is known (KMIP 1.4 §4.25)."""
    fields = {
        name: make(call)
        for function in request.query_functions
        for name, make in ANSWERS.get(function, ())
    }
    return QueryResponse(**fields)
