"""The storage policy service: which policies there are, and which of them encrypt (PBM)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.vcenter.calls.policies import ListStoragePolicies, StoragePolicy
from kmipkit_vsphere.vcenter.policies import DATASTORE_DEFAULT
from kmipkit_vsphere.web_services.application import SOAP_PATHS
from kmipkit_vsphere.web_services.managed import ManagedObject, method, prop
from kmipkit_vsphere.web_services.vim25 import storage_policies as pbm
from kmipkit_vsphere.web_services.vim25.declaration import Ref

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

STORAGE: Final = "STORAGE"
REQUIREMENT: Final = "REQUIREMENT"
ENCRYPTION: Final = pbm.PbmCapabilityMetadataUniqueId(
    namespace_="com.vmware.storageprofile.dataservice", id="ad5a249d-cbc2-43af-9366-694d7664fa52"
)
"""The capability of vSphere's encryption."""
_CREATED: Final = datetime(1970, 1, 1, tzinfo=UTC)

SOAP_PATHS.update(dict.fromkeys(("/pbm", "/pbm/sdk"), pbm.PBM))


class PbmServiceInstance(ManagedObject, moid="ServiceInstance", namespace=pbm.PBM):
    """The service."""

    @method("PbmRetrieveServiceContent", public=True)
    async def retrieve_content(self, call: "Call") -> pbm.PbmServiceInstanceContent:
        """Its managers."""
        return pbm.PbmServiceInstanceContent(
            about_info=pbm.PbmAboutInfo(
                name="PBM", version="2.0", instance_uuid=call.endpoint.instance_uuid
            ),
            session_manager=Ref("PbmSessionManager", "SessionManager"),
            capability_metadata_manager=Ref(
                "PbmCapabilityMetadataManager", "CapabilityMetadataManager"
            ),
            profile_manager=Ref("PbmProfileProfileManager", "ProfileManager"),
            compliance_manager=Ref("PbmComplianceManager", "complianceManager"),
            placement_solver=Ref("PbmPlacementSolver", "placementSolver"),
        )

    @prop(public=True)
    async def content(self, call: "Call") -> pbm.PbmServiceInstanceContent:
        """As :meth:`retrieve_content`."""
        return await self.retrieve_content(call)


class PbmProfileProfileManager(ManagedObject, moid="ProfileManager", namespace=pbm.PBM):
    """The storage policies."""

    @method("PbmFetchResourceType")
    async def fetch_resource_type(self, call: "Call") -> Sequence[pbm.PbmProfileResourceType]:
        """What policies are for: storage only."""
        del call
        return [pbm.PbmProfileResourceType(resource_type=STORAGE)]

    @method("PbmQueryProfile")
    async def query_profile(
        self,
        call: "Call",
        resource_type: pbm.PbmProfileResourceType,
        profile_category: str | None,
    ) -> Sequence[pbm.PbmProfileId]:
        """The ids of the policies for storage that say what is required."""
        if resource_type.resource_type != STORAGE or profile_category not in (None, REQUIREMENT):
            return []
        return [pbm.PbmProfileId(unique_id=known.policy_id) for known in await _policies(call)]

    @method("PbmRetrieveContent")
    async def retrieve_content(
        self, call: "Call", profile_ids: Sequence[pbm.PbmProfileId]
    ) -> Sequence[pbm.PbmProfile]:
        """The policies of these ids."""
        known = {policy.policy_id: policy for policy in await _policies(call)}
        unknown = [named.unique_id for named in profile_ids if named.unique_id not in known]
        if unknown:
            raise InvalidArgument(
                f"there is no storage policy {unknown[0]}", invalid_property="profileIds"
            )
        return [_profile(known[named.unique_id]) for named in profile_ids]


async def _policies(call: "Call") -> list[StoragePolicy]:
    """The policies that have an id in vSphere: being the default of a datastore is none."""
    policies = await call.run(ListStoragePolicies())
    return [policy for policy in policies if policy.policy_id != DATASTORE_DEFAULT.policy_id]


def _profile(policy: StoragePolicy) -> pbm.PbmCapabilityProfile:
    subprofiles = []
    if policy.encrypts:
        instance = pbm.PbmCapabilityPropertyInstance(id=ENCRYPTION.id, value=ENCRYPTION.id)
        constraint = pbm.PbmCapabilityConstraintInstance(property_instance=[instance])
        capability = pbm.PbmCapabilityInstance(id=ENCRYPTION, constraint=[constraint])
        subprofiles.append(pbm.PbmCapabilitySubProfile(name="Encryption", capability=[capability]))
    return pbm.PbmCapabilityProfile(
        profile_id=pbm.PbmProfileId(unique_id=policy.policy_id),
        name=policy.name,
        description=policy.description,
        creation_time=_CREATED,
        created_by="vCenter",
        last_updated_time=_CREATED,
        last_updated_by="vCenter",
        profile_category=REQUIREMENT,
        resource_type=pbm.PbmProfileResourceType(resource_type=STORAGE),
        constraints=pbm.PbmCapabilitySubProfileConstraints(sub_profiles=subprofiles),
        generation_id=0,
        is_default=False,
    )
