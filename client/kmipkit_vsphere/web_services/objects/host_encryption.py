"""Encryption mode: methods of ``HostSystem`` and ``ClusterComputeResource``."""

from typing import TYPE_CHECKING, Annotated, Any

from kmipkit_vsphere.model import errors
from kmipkit_vsphere.vcenter.calls import host_keys, hosts
from kmipkit_vsphere.web_services.managed import method
from kmipkit_vsphere.web_services.objects.crypto_manager import plain_members
from kmipkit_vsphere.web_services.objects.entity import ManagedEntity
from kmipkit_vsphere.web_services.requests import (
    key_members,
    provider_named,
    request,
    run,
    with_provider,
)
from kmipkit_vsphere.web_services.vim25.compute import ClusterComputeResourceCryptoModePolicy
from kmipkit_vsphere.web_services.vim25.declaration import Since
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId, CryptoKeyPlain

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


class HostEncryption(ManagedEntity, mixin=True):
    """The methods of a host."""

    @property
    def _host(self) -> str:
        return self.entity.removeprefix("host/")

    @method("PrepareCrypto", since="6.5")
    async def prepare_crypto(self, call: "Call") -> None:
        """From incapable to prepared."""
        await run(call, host_keys.PrepareCrypto(self._host), "", errors.InvalidState)

    @method("EnableCrypto", since="6.5")
    async def enable_crypto(self, call: "Call", key_plain: CryptoKeyPlain) -> None:
        """From prepared to safe, with this host key."""
        members = {"host": self._host, "key": plain_members(with_provider(call, key_plain))}
        of_vcenter = request(host_keys.EnableCrypto, members, {"key": "keyPlain"})
        await run(call, of_vcenter, "keyPlain", errors.InvalidState)

    @method("ConfigureCryptoKey", since="6.5")
    async def configure_crypto_key(self, call: "Call", key_id: CryptoKeyId | None) -> None:
        """Enable encryption mode with this host key, that of the cluster, or a new one."""
        key = None if key_id is None else key_members(provider_named(call, key_id))
        members = {"host": self._host, "keyId": key}
        await run(call, request(hosts.ConfigureCryptoKey, members), "keyId")


class ClusterEncryption(ManagedEntity, mixin=True):
    """The method of a cluster."""

    @method("SetCryptoMode", since="7.0.0.0")
    async def set_crypto_mode(
        self,
        call: "Call",
        crypto_mode: str,
        policy: Annotated[ClusterComputeResourceCryptoModePolicy | None, Since("8.0.3.0")],
    ) -> None:
        """When its hosts enable encryption mode, and with which host keys."""
        members: dict[str, Any] = {
            "name": self.entity.removeprefix("cluster/"),
            "cryptoMode": crypto_mode or None,
        }
        if policy is not None and policy.key_id is not None:
            members["keyId"] = key_members(provider_named(call, policy.key_id))
        if policy is not None and policy.provider_id is not None:
            members["keyProvider"] = policy.provider_id.id
        names = {"keyId": "policy.keyId", "keyProvider": "policy.providerId"}
        await run(call, request(hosts.SetCryptoMode, members, names), "policy.providerId")
