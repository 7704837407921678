"""Two vCenters, a trust authority and a trusted host in one process, with a TPM in software."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kmipkit_client import calls
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import HostUnreachable, RPCError
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.trust_authority.agent import AgentSource, TrustedAgent
from kmipkit_vsphere.trust_authority.trust_authority_host import TrustAuthorityHost
from software_tpm import IMAGE, Maker, SoftwareTPM, good
from vsphere_scene import Scene, ask, play


class Whole:
    """A trust authority with its own vCenter, and a workload vCenter with a trusted host."""

    def __init__(self, folder: Path, authority: Scene, maker: Maker) -> None:
        self.authority = authority
        self.maker = maker
        self.workload = Scene(folder / "workload")
        self.services: dict[str, TrustAuthorityHost | None] = {}
        self.tpm = good(maker)
        self.folder = folder

    def service(self, name: str) -> TrustAuthorityHost:
        service = TrustAuthorityHost(
            name,
            self.folder / name,
            lambda: self.authority.now,
            lambda access: [self.authority.servers[server.name] for server in access.servers],
        )
        self.services[name] = service
        return service

    async def prepare(self) -> None:
        s = self.authority
        s.add_server("kms1")
        await s.add_kms("TKP", "kms1")
        await s.call("IssueClientCert", clusterId="TKP")
        certificate = to_pem(self.maker.certificate)
        await s.call("UploadKmipServerCert", clusterId="TKP", certificate=certificate)
        primary = await s.call("GenerateKey")
        await s.ask_kms(calls.activate(primary["keyId"]["keyId"]))
        self.primary = str(primary["keyId"]["keyId"])
        real = s.vcenter.hosts.call

        async def call(host: Any, request: Request[Any]) -> Any:
            if host.name not in self.services:
                return await real(host, request)
            service = self.services[host.name]
            if service is None:
                raise HostUnreachable(f"host {host.name} does not answer")
            return await ask(service.management(), request)

        s.vcenter.hosts.call = call  # type: ignore[method-assign]
        s.vcenter.trust_authority.authorities = certificate
        for name in ("ta1", "ta2"):
            self.service(name)
            await self.ta("TrustAuthorityAddHost", name=name, address="h", port=1, servicePort=2)
        await self.ta("ImportPrincipal", name="workload", certificate=certificate)
        await self.ta("AddTpmAuthority", certificate=certificate)
        await self.ta("ImportImage", manifest=encode(IMAGE).decode())
        await self.ta("PublishTrustedProvider", provider="TKP", primaryKeyId=self.primary)

    async def ta(self, method: str, caller: str = "trust-admin", **params: Any) -> Any:
        await self.authority.call("SetMember", group="TrustedAdmins", member="trust-admin")
        return await self.authority.call(method, caller, **params)

    def dial(self, name: str) -> Any:
        @asynccontextmanager
        async def connect() -> Any:
            service = self.services[name]
            if service is None:
                raise RPCError(f"{name} does not answer")
            yield Direct(service)

        return connect

    def agent(self, tpm: SoftwareTPM | None = None, events: Any = None) -> TrustedAgent:
        used = tpm or self.tpm
        measured = IMAGE.measure(used) if events is None else events
        dialers = [self.dial(name) for name in self.services]
        return TrustedAgent("esx01", used, measured, dialers, lambda: self.authority.now)

    async def trusted_host(self) -> Host:
        """A host of a trusted cluster, with the agent in place of its connections."""
        w = self.workload
        host = w.start_host("esx01")
        self.events = IMAGE.measure(self.tpm)
        self.use(host)
        await w.call("CreateCluster", name="prod")
        await w.call("AddHost", name="esx01", address="h", port=1, parent="cluster/prod")
        await w.call("RegisterKmsCluster", clusterId="TKP")
        await w.call("CreateVM", host="esx01", name="db1", diskSize=4096)
        return host

    def use(self, host: Host) -> TrustedAgent:
        agent = self.agent(events=self.events)
        host.keys.sources.add("TKP", AgentSource(agent, "TKP"))
        return agent


class Direct:
    """Calls to a Trust Authority host in the same process."""

    def __init__(self, service: TrustAuthorityHost) -> None:
        self._rows = service.services()

    async def call(self, request: Any) -> Any:
        return await ask(self._rows, request)


def whole(folder: Path, maker: Maker, test: Callable[[Whole], Awaitable[None]]) -> None:
    (folder / "workload").mkdir()
    (folder / "authority").mkdir()

    async def run(scene: Scene) -> None:
        whole = Whole(folder, scene, maker)
        try:
            await whole.prepare()
            await test(whole)
        finally:
            whole.workload.close()

    play(folder / "authority", run).close()


async def trusted(w: Whole) -> Any:
    """A trusted cluster with a host that is attested for what it has booted."""
    host = await w.trusted_host()
    agent = w.use(host)
    services = await w.ta("ExportTrustServices")
    await w.workload.call("SetMember", group="TrustedAdmins", member="trust-admin")
    await w.workload.call("ImportTrustServices", "trust-admin", document=services)

    async def attest() -> Any:
        return await agent.attest()

    host.trusted = SimpleNamespace(attest=attest, configure=lambda _: None)  # type: ignore[assignment]
    await w.workload.call("EnableTrustedCluster", "trust-admin", name="prod")
    return agent
