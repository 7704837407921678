"""``CryptoManagerHost``, ``CryptoManagerHostKMS``: encryption mode and keys of a host (§6).

A host of a vCenter always has the second kind, which also gets keys of native and trusted providers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kmipkit_vsphere.calls import host as host_calls
from kmipkit_vsphere.model import errors
from kmipkit_vsphere.vcenter.calls import host_keys, hosts
from kmipkit_vsphere.web_services.endpoint import finder
from kmipkit_vsphere.web_services.faults import key_id
from kmipkit_vsphere.web_services.managed import method, prop
from kmipkit_vsphere.web_services.objects.crypto_manager import (
    CryptoManager,
    failure_of,
    plain_members,
    results_of,
)
from kmipkit_vsphere.web_services.objects.hosts import CRYPTO_MANAGERS, HostSystem
from kmipkit_vsphere.web_services.requests import (
    key_members,
    provider_named,
    request,
    run,
    with_provider,
)
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.key_management import CryptoManagerHostKeyStatus
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId, CryptoKeyPlain, CryptoKeyResult

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_PREFIX = "cryptoManager-"


class CryptoManagerHost(CryptoManager, since="6.7"):
    """The key manager of a host."""

    def __init__(self, ref: Ref, host: HostSystem) -> None:
        super().__init__(ref)
        self._host = host

    @property
    def entity(self) -> str:
        return self._host.entity

    @property
    def _name(self) -> str:
        return self._host.record.name

    def check_visible(self, call: "Call") -> None:
        self._host.check_visible(call)

    @prop()
    async def enabled(self, call: "Call") -> bool:
        """Whether the host is in encryption mode."""
        info = await call.host(self._host.record)
        return info is not None and info.crypto_state == "safe"

    # Encryption mode ------------------------------------------------------------------------------

    @method("CryptoManagerHostPrepare", since="6.7")
    async def prepare(self, call: "Call") -> None:
        """From incapable to prepared."""
        await run(call, host_keys.PrepareCrypto(self._name), "", errors.InvalidState)

    @method("CryptoManagerHostEnable", since="6.7")
    async def enable(self, call: "Call", initial_key: CryptoKeyPlain) -> None:
        """From prepared to safe, with this host key."""
        members = {"host": self._name, "key": plain_members(with_provider(call, initial_key))}
        of_vcenter = request(host_keys.EnableCrypto, members, {"key": "initialKey"})
        declared = (errors.InvalidState, errors.AlreadyExists)
        await run(call, of_vcenter, "initialKey", *declared)

    @method("ChangeKey_Task", since="6.7")
    async def change_key(self, call: "Call", new_key: CryptoKeyPlain) -> Ref:
        """Give the host another host key."""
        members = {"host": self._name, "key": plain_members(with_provider(call, new_key))}
        of_vcenter = request(host_keys.ReplaceHostKey, members, {"key": "newKey"})
        call.endpoint.service.authorize(of_vcenter, call.user)

        async def work() -> None:
            await run(call, of_vcenter, "newKey", errors.InvalidState)

        description = "encryption.CryptoManagerHost.changeKey"
        return call.endpoint.tasks.start(call, description, work, self._host.ref, self._name)

    @method("CryptoManagerHostDisable", since="7.0.0.0")
    async def disable(self, call: "Call") -> None:
        """Leave encryption mode with the next reboot."""
        await run(call, hosts.DisableCrypto(self._name), "", errors.InvalidState)

    # Keys -----------------------------------------------------------------------------------------

    @method("AddKey", since="6.5")
    async def add_key(self, call: "Call", key: CryptoKeyPlain) -> None:
        """Add a key to the host's cache."""
        [result] = await self._add(call, [key], "key")
        if not result.success:
            raise failure_of(call, result, errors.AlreadyExists, errors.InvalidState)

    @method("AddKeys", since="6.5")
    async def add_keys(
        self, call: "Call", keys: Sequence[CryptoKeyPlain]
    ) -> Sequence[CryptoKeyResult]:
        """Add keys, each by itself."""
        return results_of(call, await self._add(call, keys, "keys"))

    async def _add(
        self, call: "Call", keys: Sequence[CryptoKeyPlain], parameter: str
    ) -> list[host_calls.CryptoKeyResult]:
        members = {
            "host": self._name,
            "keys": [plain_members(with_provider(call, key)) for key in keys],
        }
        return await call.run(request(host_keys.AddHostKeys, members, {"keys": parameter}))

    @method("RemoveKey", since="6.5")
    async def remove_key(
        self,
        call: "Call",
        key: CryptoKeyId,
        force: bool,
    ) -> None:
        """Remove a key from the cache."""
        [result] = await self._remove(call, [key], force=force)
        if not result.success:
            raise failure_of(call, result, errors.ResourceInUse)

    @method("RemoveKeys", since="6.5")
    async def remove_keys(
        self,
        call: "Call",
        keys: Sequence[CryptoKeyId],
        force: bool,
    ) -> Sequence[CryptoKeyResult]:
        """Remove keys, each by itself."""
        return results_of(call, await self._remove(call, keys, force=force))

    async def _remove(
        self, call: "Call", keys: Sequence[CryptoKeyId], *, force: bool
    ) -> list[host_calls.CryptoKeyResult]:
        members = {
            "host": self._name,
            "keyIds": [key_members(await self._identified(call, key)) for key in keys],
            "force": force,
        }
        return await call.run(request(host_keys.RemoveHostKeys, members, {"keyIds": "keys"}))

    @method("ListKeys", since="6.5")
    async def list_keys(self, call: "Call", limit: int | None) -> Sequence[CryptoKeyId]:
        """The ids of the keys in the cache."""
        found = await call.run(host_keys.ListHostKeys(self._name))
        return [key_id(key) for key in found[: limit if limit is None else max(limit, 0)]]

    @method("GetCryptoKeyStatus", since="8.0.1.0")
    async def get_crypto_key_status(
        self, call: "Call", keys: Sequence[CryptoKeyId]
    ) -> Sequence[CryptoManagerHostKeyStatus]:
        """Which of these keys, or of all, the host has."""
        members = {
            "host": self._name,
            "keyIds": [key_members(await self._identified(call, key)) for key in keys] or None,
        }
        found = await call.run(request(host_keys.GetHostKeyStatus, members, {"keyIds": "keys"}))
        asked = list(keys) or [key_id(presence.key_id) for presence in found]
        return [
            CryptoManagerHostKeyStatus(
                key_id=named,
                present=presence.present,
                management_type=presence.management_type,
                access_granted=presence.present,
            )
            for named, presence in zip(asked, found, strict=True)
        ]

    async def _identified(self, call: "Call", key: CryptoKeyId) -> CryptoKeyId:
        """A key id with its provider, where only one key of the host has the id."""
        if key.provider_id is not None:
            return key
        found = await call.vcenter.hosts.call(self._host.record, host_calls.ListKeys())
        known = [key_id(other) for other in found if other.key_id == key.key_id]
        return known[0] if len(known) == 1 else provider_named(call, key)


class CryptoManagerHostKMS(CryptoManagerHost, since="6.7"):
    """The key manager of a host that gets keys itself, too."""


CRYPTO_MANAGERS[CryptoManagerHostKMS.__name__] = _PREFIX


@finder("CryptoManagerHost", "CryptoManagerHostKMS", "CryptoManager")
def find_manager(call: "Call", ref: Ref) -> CryptoManagerHost | None:
    """The key manager of a host."""
    if call.session is None or not ref.value.startswith(_PREFIX):
        return None
    node = call.inventory.find(Ref("HostSystem", ref.value.removeprefix(_PREFIX)))
    if node is None:
        return None
    return CryptoManagerHostKMS(Ref(CryptoManagerHostKMS.__name__, ref.value), HostSystem(node))
