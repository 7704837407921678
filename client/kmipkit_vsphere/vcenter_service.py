"""The vCenter role behind its channel: the calls of administrators.

One role, ``administrator``, may make all of them. Names are those of the vSphere API where it has
them (vsphere.md §4.2); none of the answers holds a key.
"""

from collections.abc import Mapping
from typing import Any, Final

from kmipkit_vsphere.params import Params
from kmipkit_vsphere.rpc import Method
from kmipkit_vsphere.store import ServerRecord
from kmipkit_vsphere.vcenter import VCenter

ADMINISTRATOR: Final = "administrator"


class VCenterService:
    """The calls of a vCenter; :meth:`methods` is the table that the channel serves."""

    def __init__(self, vcenter: VCenter) -> None:
        self._vcenter = vcenter

    def methods(self) -> Mapping[str, Method]:
        """Name to role and handler."""
        handlers = {
            "RegisterKmipServer": self.register_server,
            "UpdateKmipServer": self.update_server,
            "ListKmipServers": self.list_servers,
            "RetrieveKmipServersStatus": self.status,
            "MarkDefault": self.mark_default,
            "GenerateKey": self.generate_key,
            "ListKeys": self.list_keys,
            "QueryEvents": self.events,
            "AddHost": self.add_host,
            "ReconnectHost": self.reconnect_host,
            "ConfigureCryptoKey": self.configure_crypto_key,
            "CreateVM": self.create_machine,
            "EncryptVM": self.encrypt_machine,
            "CryptoUnlock": self.unlock_machine,
            "ListVMs": self.list_machines,
        }
        return {name: Method(ADMINISTRATOR, one) for name, one in handlers.items()}

    async def register_server(self, params: Params) -> dict[str, Any]:
        provider, server = _server(params)
        return await self._vcenter.crypto.register_kmip_server(params.caller, provider, server)

    async def update_server(self, params: Params) -> None:
        self._vcenter.crypto.update_kmip_server(*_server(params))

    async def list_servers(self, _params: Params) -> list[dict[str, Any]]:
        return self._vcenter.crypto.list_kmip_servers()

    async def status(self, _params: Params) -> dict[str, dict[str, str | None]]:
        return await self._vcenter.crypto.status()

    async def mark_default(self, params: Params) -> None:
        self._vcenter.crypto.mark_default(params.text("clusterId"))

    async def generate_key(self, params: Params) -> dict[str, str]:
        provider = params.text("keyProvider") if params.has("keyProvider") else None
        return (await self._vcenter.crypto.generate_key(params.caller, provider)).to_json()

    async def list_keys(self, _params: Params) -> list[dict[str, str]]:
        return [key.to_json() for key in self._vcenter.crypto.list_keys()]

    async def events(self, params: Params) -> list[dict[str, Any]]:
        limit = params.integer("limit", minimum=1, maximum=1000, default=1000)
        return self._vcenter.crypto.events()[-limit:]

    async def add_host(self, params: Params) -> dict[str, Any]:
        name, address, port = params.text("name"), params.text("address"), _port(params)
        return await self._vcenter.hosts.add(name, address, port)

    async def reconnect_host(self, params: Params) -> list[str]:
        address = params.text("address") if params.has("address") else None
        port = _port(params) if params.has("port") else None
        name = params.text("name")
        return await self._vcenter.hosts.reconnect(params.caller, name, address, port)

    async def configure_crypto_key(self, params: Params) -> dict[str, str]:
        name = params.text("host")
        return (await self._vcenter.hosts.configure_crypto_key(params.caller, name)).to_json()

    async def create_machine(self, params: Params) -> dict[str, Any]:
        return await self._vcenter.create_machine(
            params.text("host"),
            params.text("name"),
            params.integer("diskSize", minimum=512),
            params.integer("sectorSize", default=512),
        )

    async def encrypt_machine(self, params: Params) -> dict[str, str]:
        return (await self._vcenter.encrypt_machine(params.caller, params.text("name"))).to_json()

    async def unlock_machine(self, params: Params) -> None:
        await self._vcenter.unlock_machine(params.caller, params.text("name"))

    async def list_machines(self, _params: Params) -> list[dict[str, Any]]:
        return await self._vcenter.list_machines()


def _server(params: Params) -> tuple[str, ServerRecord]:
    """A ``KmipServerSpec`` (vsphere.md §4.3): provider id and server."""
    info = params.inner("info")
    server = ServerRecord(info.text("name"), info.text("address"), _port(info, 5696))
    return params.text("clusterId"), server


def _port(params: Params, default: int | None = None) -> int:
    return params.integer("port", minimum=1, maximum=65535, default=default)
