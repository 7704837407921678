"""Discover Versions and Query, in both directions, and the structures of Query.

A client that answers a server (1.4 §5.3, §5.4) sends the same fields, without namespaces.
"""

from typing import Annotated

from kmipkit.model.attributes import RNGParameters
from kmipkit.model.headers import ProtocolVersion
from kmipkit.model.payloads.common import StorageMasks
from kmipkit.model.payloads.limits import DefaultsInformation, ObjectGroups
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.enums import (
    AttestationType,
    ClientRegistrationMethod,
    DestroyAction,
    ObjectType,
    Operation,
    ProfileName,
    QueryFunction,
    RNGMode,
    ShreddingAlgorithm,
    UnwrapMode,
    ValidationAuthorityType,
    ValidationType,
)
from kmipkit.spec.enums import ItemType as ItemTypeNumber
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V1_3, V1_4, V2_0, V2_1
from kmipkit.ttlv.tree import Item


@structure()
class DiscoverVersionsRequest(Structure):
    """The versions that the requester supports, best first (1.4 §4.26, 2.1 §6.1.16)."""

    protocol_versions: Annotated[tuple[ProtocolVersion, ...], Wire(Tag.PROTOCOL_VERSION)] = ()


@structure()
class DiscoverVersionsResponse(Structure):
    """The versions that both sides support, best first (1.4 §4.26, 2.1 §6.1.16)."""

    protocol_versions: Annotated[tuple[ProtocolVersion, ...], Wire(Tag.PROTOCOL_VERSION)] = ()


@structure(Tag.EXTENSION_INFORMATION)
class ExtensionInformation(Structure):
    """A vendor's tag and its meaning (1.4 §2.1.9, 2.1 §7.13)."""

    extension_name: Annotated[str, Wire(Tag.EXTENSION_NAME)]
    extension_tag: Annotated[int | None, Wire(Tag.EXTENSION_TAG)] = None
    extension_type: Annotated[
        int | None,
        Wire(Tag.EXTENSION_TYPE, until=V1_4),
        Wire(Tag.EXTENSION_TYPE, since=V2_0, as_=ItemTypeNumber),
    ] = None
    extension_enumeration: Annotated[int | None, Wire(Tag.EXTENSION_ENUMERATION, since=V2_0)] = None
    extension_attribute: Annotated[bool | None, Wire(Tag.EXTENSION_ATTRIBUTE, since=V2_0)] = None
    extension_parent_structure_tag: Annotated[
        int | None, Wire(Tag.EXTENSION_PARENT_STRUCTURE_TAG, since=V2_0)
    ] = None
    extension_description: Annotated[str | None, Wire(Tag.EXTENSION_DESCRIPTION, since=V2_0)] = None


@structure(Tag.PROFILE_VERSION)
class ProfileVersion(Structure):
    """The version of a profile (2.1 §7.32)."""

    profile_version_major: Annotated[int, Wire(Tag.PROFILE_VERSION_MAJOR)]
    profile_version_minor: Annotated[int, Wire(Tag.PROFILE_VERSION_MINOR)]


@structure(Tag.PROFILE_INFORMATION)
class ProfileInformation(Structure):
    """A profile that the peer claims (1.4 §2.1.19, 2.1 §7.31)."""

    profile_name: Annotated[ProfileName, Wire(Tag.PROFILE_NAME)]
    profile_version: Annotated[ProfileVersion | None, Wire(Tag.PROFILE_VERSION, since=V2_0)] = None
    server_uri: Annotated[str | None, Wire(Tag.SERVER_URI)] = None
    server_port: Annotated[int | None, Wire(Tag.SERVER_PORT)] = None


@structure(Tag.VALIDATION_INFORMATION)
class ValidationInformation(Structure):
    """A formal validation (1.4 §2.1.20, 2.1 §7.41)."""

    validation_authority_type: Annotated[
        ValidationAuthorityType, Wire(Tag.VALIDATION_AUTHORITY_TYPE)
    ]
    validation_authority_country: Annotated[str | None, Wire(Tag.VALIDATION_AUTHORITY_COUNTRY)] = (
        None
    )
    validation_authority_uri: Annotated[str | None, Wire(Tag.VALIDATION_AUTHORITY_URI)] = None
    validation_version_major: Annotated[int, Wire(Tag.VALIDATION_VERSION_MAJOR)]
    validation_version_minor: Annotated[int | None, Wire(Tag.VALIDATION_VERSION_MINOR)] = None
    validation_type: Annotated[ValidationType, Wire(Tag.VALIDATION_TYPE)]
    validation_level: Annotated[int, Wire(Tag.VALIDATION_LEVEL)]
    validation_certificate_identifier: Annotated[
        str | None, Wire(Tag.VALIDATION_CERTIFICATE_IDENTIFIER)
    ] = None
    validation_certificate_uri: Annotated[str | None, Wire(Tag.VALIDATION_CERTIFICATE_URI)] = None
    validation_vendor_uri: Annotated[str | None, Wire(Tag.VALIDATION_VENDOR_URI)] = None
    validation_profiles: Annotated[tuple[str, ...], Wire(Tag.VALIDATION_PROFILE)] = ()


@structure(Tag.CAPABILITY_INFORMATION)
class CapabilityInformation(Structure):
    """Capabilities of the peer beyond operations (1.4 §2.1.21, 2.1 §7.5)."""

    streaming_capability: Annotated[bool | None, Wire(Tag.STREAMING_CAPABILITY)] = None
    asynchronous_capability: Annotated[bool | None, Wire(Tag.ASYNCHRONOUS_CAPABILITY)] = None
    attestation_capability: Annotated[bool | None, Wire(Tag.ATTESTATION_CAPABILITY)] = None
    batch_undo_capability: Annotated[bool | None, Wire(Tag.BATCH_UNDO_CAPABILITY, since=V1_4)] = (
        None
    )
    batch_continue_capability: Annotated[
        bool | None, Wire(Tag.BATCH_CONTINUE_CAPABILITY, since=V1_4)
    ] = None
    unwrap_mode: Annotated[UnwrapMode | None, Wire(Tag.UNWRAP_MODE)] = None
    destroy_action: Annotated[DestroyAction | None, Wire(Tag.DESTROY_ACTION)] = None
    shredding_algorithm: Annotated[ShreddingAlgorithm | None, Wire(Tag.SHREDDING_ALGORITHM)] = None
    rng_mode: Annotated[RNGMode | None, Wire(Tag.RNG_MODE)] = None
    quantum_safe_capability: Annotated[
        bool | None, Wire(Tag.QUANTUM_SAFE_CAPABILITY, since=V2_0)
    ] = None


@structure()
class QueryRequest(Structure):
    """Ask what the peer is and can do (1.4 §4.25, 2.1 §6.1.40)."""

    query_functions: Annotated[tuple[QueryFunction, ...], Wire(Tag.QUERY_FUNCTION, required=True)]
    object_groups: Annotated[ObjectGroups | None, Wire(Tag.OBJECT_GROUPS, since=V2_1)] = None


@structure()
class QueryResponse(Structure):
    """The capabilities of the peer (1.4 §4.25, 2.1 §6.1.40).

    ``server_information`` can contain anything; therefore it is a tree item. 2.x requires Protection
    Storage Masks in every response, but servers send them only if the request asks for them.
    """

    operations: Annotated[tuple[Operation, ...], Wire(Tag.OPERATION)] = ()
    object_types: Annotated[tuple[ObjectType, ...], Wire(Tag.OBJECT_TYPE)] = ()
    vendor_identification: Annotated[str | None, Wire(Tag.VENDOR_IDENTIFICATION)] = None
    server_information: Annotated[Item | None, Wire(Tag.SERVER_INFORMATION)] = None
    application_namespaces: Annotated[tuple[str, ...], Wire(Tag.APPLICATION_NAMESPACE)] = ()
    extension_information: Annotated[
        tuple[ExtensionInformation, ...], Wire(Tag.EXTENSION_INFORMATION, since=V1_1)
    ] = ()
    attestation_types: Annotated[
        tuple[AttestationType, ...], Wire(Tag.ATTESTATION_TYPE, since=V1_2)
    ] = ()
    rng_parameters: Annotated[tuple[RNGParameters, ...], Wire(Tag.RNG_PARAMETERS, since=V1_3)] = ()
    profile_information: Annotated[
        tuple[ProfileInformation, ...], Wire(Tag.PROFILE_INFORMATION, since=V1_3)
    ] = ()
    validation_information: Annotated[
        tuple[ValidationInformation, ...], Wire(Tag.VALIDATION_INFORMATION, since=V1_3)
    ] = ()
    capability_information: Annotated[
        tuple[CapabilityInformation, ...], Wire(Tag.CAPABILITY_INFORMATION, since=V1_3)
    ] = ()
    client_registration_methods: Annotated[
        tuple[ClientRegistrationMethod, ...], Wire(Tag.CLIENT_REGISTRATION_METHOD, since=V1_3)
    ] = ()
    defaults_information: Annotated[
        DefaultsInformation | None, Wire(Tag.DEFAULTS_INFORMATION, since=V2_0)
    ] = None
    protection_storage_masks: StorageMasks = None
