"""A runbook: a key server is replaced by another one, and that one by a native key provider.

No data is written again and no machine is switched off: each gets a new key-encryption key for the data
key that it has (a shallow re-encryption). The old provider may go only when nothing uses its keys.
"""

from kmipkit_vsphere.demo.laboratory import HOST, Laboratory
from kmipkit_vsphere.demo.processes import Process
from kmipkit_vsphere.demo.story import DISK_SIZE, MACHINE, PROVIDER, Story, require, wait_for
from kmipkit_vsphere.model.keys import CryptoKeyId, SecretText
from kmipkit_vsphere.model.records import ServerRecord
from kmipkit_vsphere.vcenter.calls.hosts import ChangeHostKey, CreateCluster, DumpCore
from kmipkit_vsphere.vcenter.calls.keys import (
    CryptoKeyStatus,
    ListKeys,
    QueryCryptoKeyStatus,
    RemoveKeys,
)
from kmipkit_vsphere.vcenter.calls.machines import CreateVM, EncryptVM, RecryptVM
from kmipkit_vsphere.vcenter.calls.native import (
    CreateNativeProvider,
    DownloadBackup,
    ExportProvider,
)
from kmipkit_vsphere.vcenter.calls.providers import (
    GenerateClientCsr,
    RegisterKmipServer,
    RetrieveKmipServerCert,
    RetrieveKmipServersStatus,
    SetDefaultKmsCluster,
    UnregisterKmsCluster,
    UpdateKmsSignedCsrClientCert,
    UploadKmipServerCert,
)

OTHER = "db2"
NEW, NATIVE = "NEW-KMS", "NKP"
PASSWORD = SecretText(b"a password for this demonstration")


class ReplaceKeyServer(Story):
    """Two key servers one after the other, then none."""

    summary = "a key server is replaced by another one, and that one by a native key provider"

    def run(self) -> None:
        """All steps."""
        self._begin()
        self._add_new_key_server()
        self._re_encrypt_first()
        self._refuse_to_remove()
        self._re_encrypt_rest()
        self._retire(self._old, PROVIDER)
        self._reboot_host()
        self._add_native_provider()
        self._re_encrypt_with_native()
        self._retire(self._new, NEW)
        self._start_without_vcenter()
        self.verified(
            "for its new keys, no machine was switched off and no data was written again; nothing needs"
            " the keys of either key server any more."
        )

    def _begin(self) -> None:
        self.step("A key server, a vCenter, a host, two encrypted machines and a core dump")
        self.lab.make_roles()
        self._old = self.start_key_server()
        self._vcenter = self.start("vCenter", self.lab.vcenter_command())
        self._host = self.start("host esx01", self.lab.host_command())
        self.add_key_server(self._vcenter, self._old)
        self.call(self._vcenter, CreateCluster("production"))
        self.add_host(self._vcenter, self._host, HOST, parent="cluster/production")
        for machine in (MACHINE, OTHER):
            self.call(self._vcenter, CreateVM(HOST, machine, DISK_SIZE))
            key = self.call(self._vcenter, EncryptVM(machine))
            self.detail(f"{machine} is encrypted with key {key}")
            self.write(self._host, machine)
        dump = self.call(self._vcenter, DumpCore(HOST, "hostd"))
        self.detail(f"the core dump of {HOST} is encrypted with host key {dump.key_id}")

    def _add_new_key_server(self) -> None:
        self.step(
            "Another key server, with another authority: a provider of its own, the new default"
        )
        site = Laboratory(self.lab.folder / "new-site")
        self._new = self.start("new server", site.kms_command())
        server = ServerRecord("kms2", *self._new.address)
        self.call(self._vcenter, RegisterKmipServer(NEW, server))
        shown = self.call(self._vcenter, RetrieveKmipServerCert(NEW, server.name))
        info = self.call(self._vcenter, UploadKmipServerCert(NEW, shown.certificate))
        self.detail(f"vCenter trusts the certificate {info.subject}")
        request = self.call(self._vcenter, GenerateClientCsr(NEW))
        signed = site.sign_for_vcenter(request)
        info = self.call(self._vcenter, UpdateKmsSignedCsrClientCert(NEW, signed))
        self.detail(f"the new key server has signed {info.subject}")
        self._require_green(NEW)
        self.call(self._vcenter, SetDefaultKmsCluster(NEW))

    def _require_green(self, provider: str) -> None:
        [status] = self.call(self._vcenter, RetrieveKmipServersStatus([provider]))
        reasons = "; ".join(status.reasons)
        require(status.overall_status == "green", f"{provider} can be used ({reasons})")
        self.detail(f"the key provider {provider} is {status.overall_status}")

    def _re_encrypt_first(self) -> None:
        self.step(f"{MACHINE} gets a key of the new provider, while its guest works")
        before = self.disk().read_bytes()
        self._re_encrypt(MACHINE)
        require(self.disk().read_bytes() == before, "no block of the disk was written again")

    def _re_encrypt(self, machine: str) -> None:
        key = self.call(self._vcenter, RecryptVM(machine))
        self.detail(f"{machine} has key {key.provider_id}/{_short(key)} now")
        self.read(self._host, machine)

    def _refuse_to_remove(self) -> None:
        self.step(
            "What still uses the old provider? Its keys cannot be removed before nothing does"
        )
        keys = self._keys_of(PROVIDER)
        statuses = self.call(self._vcenter, QueryCryptoKeyStatus(keys))
        for line in sorted(map(_users, statuses)):
            self.detail(line)
        results = self.call(self._vcenter, RemoveKeys(keys))
        refused = [result.reason or "" for result in results if not result.success]
        require(len(refused) == len(results) - 1, "only the unused key is removed")
        for reason in sorted(refused, key=lambda text: text.partition(" is used by ")[2]):
            self.detail(f"refused: {reason}")

    def _re_encrypt_rest(self) -> None:
        self.step(f"{OTHER} and the host get keys of the new provider as well")
        self._re_encrypt(OTHER)
        self._change_host_key()

    def _change_host_key(self) -> None:
        changed = self.call(self._vcenter, ChangeHostKey(HOST))
        require(not changed.left, "no core dump needs the old host key")
        key = changed.key_id
        self.detail(f"{HOST} has host key {key.provider_id}/{_short(key)} now")
        self.detail(f"core dumps under it: {len(changed.relocked)}")

    def _keys_of(self, provider: str) -> list[CryptoKeyId]:
        return [key for key in self.call(self._vcenter, ListKeys()) if key.provider_id == provider]

    def _retire(self, server: Process, provider: str) -> None:
        self.step(
            f"Nothing uses {provider} any more: remove it, and switch its key server off for ever"
        )
        results = self.call(self._vcenter, RemoveKeys(self._keys_of(provider)))
        require(all(result.success for result in results), "no key of the provider is in use")
        self.call(self._vcenter, UnregisterKmsCluster(provider))
        self.detail(f"kill -9 {server.pid} ({server.title})")
        server.kill()

    def _reboot_host(self) -> None:
        self.detail(f"kill -9 {self._host.pid} (host)")
        self._host.kill()
        self._host.start()
        self.show(self._host)
        wait_for("the host has its keys", lambda: self.read(self._host))
        wait_for("the host has its keys", lambda: self.read(self._host, OTHER))

    def _add_native_provider(self) -> None:
        self.step("A native key provider, backed up, becomes the default")
        self.call(self._vcenter, CreateNativeProvider(NATIVE, any_host=True))
        prepared = self.call(self._vcenter, ExportProvider(NATIVE, PASSWORD))
        backup = self.call(self._vcenter, DownloadBackup(prepared.location.download_token.token))
        require(bool(backup), "there is a backup")
        self.detail("the backup is made; keep it where vCenter is not")
        self._require_green(NATIVE)
        self.call(self._vcenter, SetDefaultKmsCluster(NATIVE))

    def _re_encrypt_with_native(self) -> None:
        self.step("Both machines and the host get keys of the native provider")
        for machine in (MACHINE, OTHER):
            self._re_encrypt(machine)
        self._change_host_key()

    def _start_without_vcenter(self) -> None:
        self.step("A power cut: only the host starts again")
        self.detail(f"kill -9 {self._vcenter.pid} (vCenter), kill -9 {self._host.pid} (host)")
        self._vcenter.kill()
        self._host.kill()
        self._host.start()
        self.show(self._host)
        wait_for(f"the host has unlocked {MACHINE}", lambda: self.read(self._host))


def _short(key: CryptoKeyId) -> str:
    """The beginning of a key's identifier: those of native keys are long."""
    return key.key_id if len(key.key_id) <= 36 else f"{key.key_id[:40]}…"


def _users(status: CryptoKeyStatus) -> str:
    """What uses a key."""
    names = [
        name
        for each in (status.encrypted_vms, status.affected_hosts, status.referenced_by_tags)
        if isinstance(each, list)
        for name in each
    ]
    return f"used by {', '.join(names) or 'nothing':<8} {_short(status.key_id)}"
