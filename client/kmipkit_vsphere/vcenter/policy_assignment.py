"""Gives machines storage policies, which encrypts and decrypts them, and checks their compliance."""

from collections.abc import Sequence

from kmipkit_vsphere.calls.machines import MachineInfo
from kmipkit_vsphere.model.errors import InvalidArgument, NotFound
from kmipkit_vsphere.vcenter.alarms import Alarms
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import AlarmName, Entity
from kmipkit_vsphere.vcenter.calls.policies import Compliance, ComplianceStatus
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.encryption import MachineEncryption
from kmipkit_vsphere.vcenter.machines import Machines
from kmipkit_vsphere.vcenter.policies import Policies
from kmipkit_vsphere.vcenter.privileges import Privilege


class PolicyAssignment:
    """The policies of the machines of one vCenter."""

    def __init__(
        self,
        policies: Policies,
        crypto: CryptoManagerKmip,
        machines: Machines,
        encryption: MachineEncryption,
        alarms: Alarms,
    ) -> None:
        self._policies = policies
        self._crypto = crypto
        self._machines = machines
        self._encryption = encryption
        self._alarms = alarms

    async def set(
        self,
        caller: Caller,
        name: str,
        policy_name: str,
        *,
        parts: Sequence[str] | None = None,
        provider_id: str | None = None,
    ) -> list[Compliance]:
        """Give a machine, or parts of it, a policy; returns the compliance of its parts.

        What the policy requires is done first: if that fails, the policies stay as they were.
        """
        policy = self._policies.get(policy_name)
        info = await self._machines.info(name)
        chosen = list(parts) if parts is not None else info.parts
        unknown = [part for part in chosen if part not in info.parts]
        if unknown:
            raise InvalidArgument(
                f"the machine {name} has no {', '.join(unknown)}: {', '.join(info.parts)}"
            )
        if provider_id is not None and not policy.encrypts:
            raise InvalidArgument(f"the storage policy {policy.name} needs no key provider")
        to_change = [part for part in chosen if (part in info.encrypted_parts) != policy.encrypts]
        entity = f"machine/{name}"
        if to_change and policy.encrypts:
            caller.require(Privilege.ENCRYPT, entity)
            await self._encryption.encrypt(caller, name, provider_id, to_change, policy=policy)
        elif to_change:
            caller.require(Privilege.DECRYPT, entity)
            await self._encryption.decrypt(caller, name, to_change)
        self._policies.assign(info.uuid, chosen, policy)
        self._crypto.note(
            caller.user,
            "SetStoragePolicy",
            self._machines.record(name).key_id,
            Entity("machine", name, info.uuid),
        )
        return self._check(await self._machines.info(name))

    async def check(
        self, names: Sequence[str] | None = None, *, all_parts: bool = False
    ) -> list[Compliance]:
        """Check all machines, or some; without ``all_parts`` only what is not as required."""
        listed: list[MachineInfo] = list(await self._machines.all())
        known = {machine.name for machine in listed}
        for name in names or ():
            if name not in known:
                raise NotFound(f"vCenter knows no machine {name}")
        answer = (ComplianceStatus.NON_COMPLIANT, ComplianceStatus.UNKNOWN)
        return [
            result
            for machine in listed
            if not names or machine.name in names
            for result in self._check(machine)
            if all_parts or result.status in answer
        ]

    def _check(self, machine: MachineInfo) -> list[Compliance]:
        """The compliance of a machine, with an alarm if a part is not as required."""
        results = self._policies.compliance(machine)
        parts = [result for result in results if result.status is ComplianceStatus.NON_COMPLIANT]
        if all(result.status is not ComplianceStatus.UNKNOWN for result in results):
            self._alarms.set(
                AlarmName.POLICY_COMPLIANCE,
                Entity("machine", machine.name, machine.uuid),
                "",
                "; ".join(f"{result.part}: {result.reason}" for result in parts),
            )
        return results
