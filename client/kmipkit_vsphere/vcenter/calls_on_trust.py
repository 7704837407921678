"""The calls about a trust authority: for members of the group TrustedAdmins only (R29).

The role of an administrator is not enough, nor is a role with all TrustedAdmin privileges: who
administers machines shall not be able to decide which hosts are trusted (vsphere.md §5.2).
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from kmipkit_vsphere.model.errors import InvalidArgument, NoPermission
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.vcenter.authorization import TRUSTED_ADMINS
from kmipkit_vsphere.vcenter.vcenter import VCenter

Handler = Callable[[Params], Awaitable[Any]]


class TrustCalls:
    """Handlers; what they do is in ``trust_authority.administration`` and ``trusted_clusters``."""

    def __init__(self, vcenter: VCenter) -> None:
        self._vcenter = vcenter
        self._authority = vcenter.trust_authority
        self._clusters = vcenter.trusted_clusters

    def for_members(self, handler: Handler) -> Handler:
        """The handler behind the check of membership."""

        async def handle(params: Params) -> Any:
            if TRUSTED_ADMINS not in self._vcenter.store.permissions.groups_of(params.caller):
                raise NoPermission(
                    f"{params.caller} is not a member of the group {TRUSTED_ADMINS}",
                    privilege_id="TrustedAdmins",
                    object="/",
                )
            return await handler(params)

        return handle

    # The trust authority's side ------------------------------------------------------------------

    async def add_host(self, params: Params) -> dict[str, Any]:
        return await self._authority.add_host(
            params.text("name"),
            params.text("address"),
            params.port(),
            params.integer("servicePort", minimum=1, maximum=65535),
        )

    async def import_principal(self, params: Params) -> None:
        await self._authority.import_principal(params.text("name"), params.long_text("certificate"))

    async def remove_principal(self, params: Params) -> None:
        await self._authority.remove_principal(params.text("name"))

    async def add_tpm_authority(self, params: Params) -> None:
        await self._authority.add_tpm_authority(params.long_text("certificate"))

    async def add_endorsement_key(self, params: Params) -> str:
        return await self._authority.add_endorsement_key(
            params.text("name"), params.long_text("certificate")
        )

    async def set_tpm_settings(self, params: Params) -> None:
        await self._authority.set_tpm_settings(
            require_endorsement_keys=params.flag("requireEndorsementKeys"),
            require_certificate_validation=not params.flag("acceptUncertified"),
        )

    async def import_image(self, params: Params) -> None:
        await self._authority.import_image(_document(params, "manifest"))

    async def remove_image(self, params: Params) -> None:
        await self._authority.remove_image(params.text("name"), params.text("version"))

    async def publish_provider(self, params: Params) -> None:
        await self._authority.publish_provider(params.text("provider"), params.text("primaryKeyId"))

    async def withdraw_provider(self, params: Params) -> None:
        await self._authority.withdraw_provider(params.text("provider"))

    async def health(self, _params: Params) -> dict[str, Any]:
        return await self._authority.health()

    async def remediate(self, _params: Params) -> dict[str, Any]:
        return await self._authority.remediate()

    async def export_services(self, _params: Params) -> str:
        return json.dumps(self._authority.export_services(), indent=2)

    # The workload's side -------------------------------------------------------------------------

    async def import_services(self, params: Params) -> list[str]:
        return self._clusters.import_services(_document(params, "document"))

    async def enable_cluster(self, params: Params) -> dict[str, Any]:
        return await self._clusters.enable(params.text("name"))

    async def remediate_cluster(self, params: Params) -> dict[str, Any]:
        return await self._clusters.remediate(params.text("name"))

    async def attestation(self, params: Params) -> dict[str, Any]:
        return await self._clusters.attestation(params.text("name"))


def _document(params: Params, name: str) -> dict[str, Any]:
    try:
        found = json.loads(params.long_text(name))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidArgument(f"the parameter {name} must be a JSON object, as text")
    return found
