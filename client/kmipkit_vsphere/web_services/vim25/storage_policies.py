"""Types of the storage policy service, which has a namespace of its own (shared facts §11)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Long, Ref

PBM: Final = "urn:pbm"


class PbmAboutInfo(DataObject, namespace=PBM):
    """What the service says of itself."""

    name: str
    version: str
    instance_uuid: str


class PbmServiceInstanceContent(DataObject, namespace=PBM):
    """The managers of the service, of which the laboratory has only the one for profiles."""

    about_info: PbmAboutInfo
    session_manager: Ref
    capability_metadata_manager: Ref
    profile_manager: Ref
    compliance_manager: Ref
    placement_solver: Ref


class PbmProfileId(DataObject, namespace=PBM):
    unique_id: str


class PbmProfileResourceType(DataObject, namespace=PBM):
    resource_type: str


class PbmCapabilityMetadataUniqueId(DataObject, namespace=PBM):
    namespace_: str
    id: str


class PbmCapabilityPropertyInstance(DataObject, namespace=PBM):
    id: str
    value: Any


class PbmCapabilityConstraintInstance(DataObject, namespace=PBM):
    property_instance: Sequence[PbmCapabilityPropertyInstance] = ()


class PbmCapabilityInstance(DataObject, namespace=PBM):
    """A capability that a policy requires."""

    id: PbmCapabilityMetadataUniqueId
    constraint: Sequence[PbmCapabilityConstraintInstance] = ()


class PbmCapabilitySubProfile(DataObject, namespace=PBM):
    name: str
    capability: Sequence[PbmCapabilityInstance] = ()


class PbmCapabilityConstraints(DataObject, namespace=PBM):
    """What a policy requires."""


class PbmCapabilitySubProfileConstraints(PbmCapabilityConstraints, namespace=PBM):
    sub_profiles: Sequence[PbmCapabilitySubProfile] = ()


class PbmProfile(DataObject, namespace=PBM):
    """A profile."""

    profile_id: PbmProfileId
    name: str
    description: str | None = None
    creation_time: datetime
    created_by: str
    last_updated_time: datetime
    last_updated_by: str


class PbmCapabilityProfile(PbmProfile, namespace=PBM):
    """A storage policy."""

    profile_category: str
    resource_type: PbmProfileResourceType
    constraints: PbmCapabilityConstraints
    generation_id: Long | None = None
    is_default: bool
