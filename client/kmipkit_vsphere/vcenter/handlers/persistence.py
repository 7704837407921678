"""Key persistence (vsphere.md §2.8)."""

from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.persistence import (
    KeyPersistenceStatus,
    ListKeyPersistence,
    SetClusterKeyPersistence,
    SetKeyPersistence,
)
from kmipkit_vsphere.vcenter.vcenter import VCenter


@SetKeyPersistence.handler
async def set_on_host(vcenter: VCenter, _caller: Caller, request: SetKeyPersistence) -> None:
    await vcenter.persistence.set_on_host(
        request.host,
        enable=request.enable,
        remove_all_stored_keys=request.remove_all_stored_keys,
    )


@SetClusterKeyPersistence.handler
async def set_on_cluster(
    vcenter: VCenter, _caller: Caller, request: SetClusterKeyPersistence
) -> dict[str, str | None]:
    return await vcenter.persistence.set_on_cluster(
        request.name,
        enable=request.enable,
        remove_all_stored_keys=request.remove_all_stored_keys,
    )


@ListKeyPersistence.handler
async def status(
    vcenter: VCenter, _caller: Caller, _request: ListKeyPersistence
) -> dict[str, KeyPersistenceStatus]:
    return await vcenter.persistence.status()
