"""The host role behind the channel: which calls there are, and who may make them.

``management`` is vCenter: it alone brings keys and asks for encryption. ``guest`` stands for what
runs inside the machines and reads and writes their disks; it never sees a key. Work on files runs
in a thread, so that a long encryption does not stop the host from answering.
"""

import base64
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import trio

from kmipkit_vsphere.errors import InvalidArgument, VSphereError
from kmipkit_vsphere.host import Host
from kmipkit_vsphere.params import Params
from kmipkit_vsphere.rpc import Method

MANAGEMENT: Final = "management"
GUEST: Final = "guest"
MAX_READ: Final = 256 * 1024


class HostService:
    """The calls of a host; :meth:`methods` is the table that the channel serves."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def methods(self) -> Mapping[str, Method]:
        """Name to role and handler, with the names of the vSphere API (vsphere.md §4.1)."""
        management = {
            "HostInfo": self.info,
            "CryptoManagerHostPrepare": self.prepare,
            "CryptoManagerHostEnable": self.enable,
            "CryptoManagerHostDisable": self.disable,
            "ChangeKey": self.change_key,
            "AddKey": self.add_key,
            "AddKeys": self.add_keys,
            "RemoveKey": self.remove_key,
            "ListKeys": self.list_keys,
            "GetCryptoKeyStatus": self.key_status,
            "CreateMachine": self.create_machine,
            "EncryptMachine": self.encrypt_machine,
            "CryptoUnlock": self.unlock,
            "ListMachines": self.list_machines,
        }
        guest = {"ReadDisk": self.read_disk, "WriteDisk": self.write_disk}
        return {name: Method(MANAGEMENT, one) for name, one in management.items()} | {
            name: Method(GUEST, one) for name, one in guest.items()
        }

    async def info(self, _params: Params) -> dict[str, Any]:
        return self._host.info()

    async def prepare(self, _params: Params) -> None:
        self._host.crypto.prepare()

    async def enable(self, params: Params) -> None:
        self._host.crypto.enable(params.key_plain("initialKey"))

    async def disable(self, _params: Params) -> None:
        self._host.crypto.disable()

    async def change_key(self, params: Params) -> None:
        self._host.crypto.change_key(params.key_plain("newKey"))

    async def add_key(self, params: Params) -> None:
        self._host.crypto.add_key(params.key_plain("key"))

    async def add_keys(self, params: Params) -> list[dict[str, Any]]:
        keys = [one.as_key_plain() for one in params.inner_list("keys")]
        results = self._host.crypto.add_keys(keys)
        pairs = zip(keys, results, strict=True)
        return [_key_result(key.key_id.to_json(), fault) for key, fault in pairs]

    async def remove_key(self, params: Params) -> None:
        self._host.crypto.remove_key(params.key_id(), force=params.flag("force"))

    async def list_keys(self, _params: Params) -> list[dict[str, str]]:
        return [key.to_json() for key in self._host.crypto.list_keys()]

    async def key_status(self, params: Params) -> list[dict[str, Any]]:
        cached = set(self._host.crypto.list_keys())
        asked = [one.as_key_id() for one in params.inner_list("keys")]
        return [{"keyId": key.to_json(), "present": key in cached} for key in asked]

    async def create_machine(self, params: Params) -> dict[str, Any]:
        make = partial(
            self._host.create_machine,
            params.text("name"),
            params.integer("diskSize", minimum=1),
            params.integer("sectorSize", default=512),
            params.uuid("uuid") if params.has("uuid") else None,
        )
        return (await trio.to_thread.run_sync(make)).to_json()

    async def encrypt_machine(self, params: Params) -> dict[str, Any]:
        work = partial(self._host.encrypt_machine, params.text("name"), params.key_id())
        return (await trio.to_thread.run_sync(work)).to_json()

    async def unlock(self, params: Params) -> dict[str, Any]:
        return self._host.unlock(params.text("name")).to_json()

    async def list_machines(self, _params: Params) -> list[dict[str, Any]]:
        return [info.to_json() for info in self._host.machines()]

    async def read_disk(self, params: Params) -> str:
        length = params.integer("length", maximum=MAX_READ)
        work = partial(self._host.read_disk, params.text("name"), params.integer("offset"), length)
        return base64.b64encode(await trio.to_thread.run_sync(work)).decode("ascii")

    async def write_disk(self, params: Params) -> None:
        data = params.data("data")
        if len(data) > MAX_READ:
            raise InvalidArgument(f"at most {MAX_READ} bytes can be written at once")
        work = partial(self._host.write_disk, params.text("name"), params.integer("offset"), data)
        await trio.to_thread.run_sync(work)


def _key_result(key_id: dict[str, str], fault: VSphereError | None) -> dict[str, Any]:
    """A ``CryptoKeyResult`` (vsphere.md §4.3)."""
    if fault is None:
        return {"keyId": key_id, "success": True}
    return {
        "keyId": key_id,
        "success": False,
        "reason": fault.message,
        "fault": type(fault).__name__,
    }
