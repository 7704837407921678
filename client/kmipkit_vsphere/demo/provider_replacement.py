"""The story of replacing a key provider in one call that can be repeated: first by a replica, then
by a key server of another vendor, then by a native key provider.
"""

import shutil
from typing import Final

from kmipkit_vsphere.calls.guest import ReadVsan, WriteVsan
from kmipkit_vsphere.demo.laboratory import GUEST, HOST, Laboratory
from kmipkit_vsphere.demo.story import DISK_SIZE, PLAIN, PROVIDER, Story, require, wait_for
from kmipkit_vsphere.model.keys import SecretText
from kmipkit_vsphere.model.records import ServerRecord
from kmipkit_vsphere.vcenter.calls import replacement
from kmipkit_vsphere.vcenter.calls.hosts import CreateCluster, DumpCore, EncryptVsan
from kmipkit_vsphere.vcenter.calls.keys import QueryCryptoKeyStatus
from kmipkit_vsphere.vcenter.calls.machines import CreateVM, EncryptVM
from kmipkit_vsphere.vcenter.calls.native import (
    CreateNativeProvider,
    DownloadBackup,
    ExportProvider,
)
from kmipkit_vsphere.vcenter.calls.providers import (
    RegisterKmipServer,
    RemoveKmipServer,
    RetrieveKmipServerCert,
    RetrieveKmipServersStatus,
    UnregisterKmsCluster,
    UploadClientCert,
    UploadKmipServerCert,
)
from kmipkit_vsphere.vcenter.calls.replacement import QueryProviderUse

CLUSTER: Final = "production"
NEXT: Final = "NEXT"
NATIVE: Final = "NKP"
MACHINES: Final = {"db1": HOST, "db2": "esx02"}


class ReplaceProvider(Story):
    """One vCenter, a cluster of two hosts, and three key servers, of which none is left."""

    summary = "everything moves to another provider in one call; a host is down, vCenter is killed"

    def run(self) -> None:
        """All steps."""
        self._start()
        self._replica()
        self._next()
        self._move()
        self._native()
        self.verified(
            "every machine, host key, core dump and disk group has keys of the new provider; the old"
            " key servers are not needed any more, and no data was written again."
        )

    # The laboratory ------------------------------------------------------------------------------

    def _start(self) -> None:
        self.step("A key server, a vCenter, a cluster of two hosts, and what uses keys")
        self.lab.make_roles("esx02")
        self._kms = self.start_key_server()
        self._vcenter = self.start("vCenter", self.lab.vcenter_command())
        self._hosts = {
            name: self.start(f"host {name}", self.lab.host_command(name))
            for name in MACHINES.values()
        }
        self.add_key_server(self._vcenter, self._kms)
        self.call(self._vcenter, CreateCluster(CLUSTER))
        for name, process in self._hosts.items():
            self.add_host(self._vcenter, process, name, parent=f"cluster/{CLUSTER}")
        for machine, host in MACHINES.items():
            self.call(self._vcenter, CreateVM(host, machine, DISK_SIZE))
            self.write(self._hosts[host], machine, host)
        self._key = self.call(self._vcenter, EncryptVM("db1"))
        self.call(self._vcenter, DumpCore(HOST, "hostd"))
        self.call(self._vcenter, EncryptVsan(CLUSTER))
        for name, process in self._hosts.items():
            self.ask(process, name, GUEST, WriteVsan(0, PLAIN))
        self._ciphertext = self.disk().read_bytes()

    def _await_data(self, host: str, machine: str) -> None:
        """The host has mounted its disk group, and unlocked the machine."""
        process = self._hosts[host]
        request = ReadVsan(0, len(PLAIN))
        data = wait_for(
            f"{host} has mounted its disk group",
            lambda: self.ask(process, host, GUEST, request),
        )
        require(data == PLAIN, "the disk group holds what was written")
        wait_for(f"{machine} is unlocked", lambda: self.read(process, machine, host))

    # The steps -----------------------------------------------------------------------------------

    def _replica(self) -> None:
        self.step("A replica of the same vendor joins the provider, and the first server leaves it")
        self._kms.stop()
        replica = self.lab.folder / "kms2"
        shutil.copytree(self.lab.kms, replica)
        self._kms.start()
        self._kms2 = self.start("replica", ("serve", "--data-dir", str(replica)))
        self.call(
            self._vcenter,
            RegisterKmipServer(PROVIDER, ServerRecord("kms2", *self._kms2.address)),
        )
        self._show_status(PROVIDER)
        self.call(self._vcenter, RemoveKmipServer(PROVIDER, "kms1"))
        self._kms.stop()
        [status] = self.call(self._vcenter, QueryCryptoKeyStatus([self._key], 1))
        require(status.key_available is True, "the replica has the key of db1")
        self.call(self._vcenter, EncryptVM("db2"))
        self.detail("without the first server: the key of db1 is available, and db2 got one")

    def _show_status(self, provider: str) -> None:
        [status] = self.call(self._vcenter, RetrieveKmipServersStatus([provider]))
        require(status.overall_status == "green", f"{provider} is green ({status.reasons})")
        names = ", ".join(server.name for server in status.servers)
        self.detail(f"{provider} is {status.overall_status}: {names}")

    def _next(self) -> None:
        self.step("A key server of another vendor gets a provider of its own, and trust both ways")
        lab = Laboratory(self.lab.folder / "next")
        lab.folder.mkdir(mode=0o700)
        self._kms3 = self.start("next server", lab.kms_command())
        lab.admit_vcenter()
        server = ServerRecord("kms3", *self._kms3.address)
        answer = self.call(self._vcenter, RegisterKmipServer(NEXT, server))
        require(answer.problem is not None, "there is no trust yet")
        shown = self.call(self._vcenter, RetrieveKmipServerCert(NEXT, "kms3"))
        self.call(self._vcenter, UploadKmipServerCert(NEXT, shown.certificate))
        files = lab.kmip()
        assert files.key is not None
        upload = UploadClientCert(
            NEXT, files.certificate.read_text(), SecretText(files.key.read_bytes())
        )
        self.call(self._vcenter, upload)
        self._show_status(NEXT)

    def _move(self) -> None:
        self.step(f"Everything moves to {NEXT}, although a host is down, and vCenter is killed")
        self._show_use(PROVIDER)
        self._hosts["esx02"].kill()
        result = self.call(self._vcenter, replacement.ReplaceProvider(PROVIDER, NEXT))
        for name in result.replaced:
            self.detail(f"moved: {name}")
        for name in result.problems:
            self.detail(f"not yet: {name}")
        require("machine db2" in result.problems, "a machine on a host that is down waits")
        self._vcenter.kill()
        self._vcenter.start()
        self._hosts["esx02"].start()
        self.detail("vCenter and the host start again")
        self._replace(PROVIDER, NEXT)
        self._kms2.stop()
        self._await_data("esx02", "db2")

    def _show_use(self, provider: str) -> list[str]:
        use = self.call(self._vcenter, QueryProviderUse(provider))
        require(not use.unknown_hosts, "every host answers")
        kinds = sorted({name.partition(":")[0] for name in use.used_by})
        self.detail(f"{provider} is used by: {', '.join(kinds) or 'nothing'}")
        return use.used_by

    def _replace(self, old: str, new: str) -> None:
        result = self.call(self._vcenter, replacement.ReplaceProvider(old, new))
        require(not result.problems, f"nothing fails ({result.problems})")
        require(not self._show_use(old), f"nothing uses {old} any more")
        self.call(self._vcenter, UnregisterKmsCluster(old))
        require(self.disk().read_bytes() == self._ciphertext, "no data was written again")

    def _native(self) -> None:
        self.step("A native key provider replaces the key server: created, backed up, moved to")
        self.call(self._vcenter, CreateNativeProvider(NATIVE, any_host=True))
        prepared = self.call(self._vcenter, ExportProvider(NATIVE, SecretText(b"a password")))
        self.call(self._vcenter, DownloadBackup(prepared.location.download_token.token))
        self._replace(NEXT, NATIVE)
        self._kms3.stop()
        self._vcenter.kill()
        self.detail("the last key server and vCenter are stopped, and a host reboots")
        self._hosts[HOST].kill()
        self._hosts[HOST].start()
        self._await_data(HOST, "db1")
