"""Storage policies encrypt machines, and a virtual TPM keeps the secrets of a guest."""

from kmipkit_vsphere.calls.guest import SealWithTPM, UnsealWithTPM
from kmipkit_vsphere.calls.machines import TPMProvisionPolicy
from kmipkit_vsphere.demo.laboratory import GUEST, HOST
from kmipkit_vsphere.demo.story import DISK_SIZE, MACHINE, PLAIN, Story, require
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState
from kmipkit_vsphere.vcenter.calls.machines import (
    AddTPM,
    CloneVM,
    CreateVM,
    DecryptVM,
    MigrateVM,
)
from kmipkit_vsphere.vcenter.calls.policies import (
    CheckCompliance,
    CreateStoragePolicy,
    SetStoragePolicy,
    UpdateStoragePolicy,
)

POLICY = "payroll"
SECRET = b"the key of the guest's own disk encryption"
SECOND_HOST = "esx02"


class PoliciesAndTPM(Story):
    """The steps."""

    summary = "storage policies and their compliance; a virtual TPM that is cloned and moved"

    def run(self) -> None:
        """All steps."""
        self._start()
        self._policy()
        self._compliance()
        self._tpm()
        self._clone()
        self._move()
        self.verified(
            "machines are encrypted as their policies require; the secrets of a virtual TPM are"
            " encrypted with the machine, and only a copy of the TPM has them."
        )

    def _start(self) -> None:
        self.step("A key server, a vCenter, two hosts, and a plain machine")
        self.lab.make_roles(SECOND_HOST)
        self._kms = self.start_key_server()
        self._vcenter = self.start("vCenter", self.lab.vcenter_command())
        self._host = self.start("host esx01", self.lab.host_command())
        self._other = self.start("host esx02", self.lab.host_command(SECOND_HOST))
        self.add_key_server(self._vcenter, self._kms)
        self.add_host(self._vcenter, self._host, HOST)
        self.add_host(self._vcenter, self._other, SECOND_HOST)
        self.call(self._vcenter, CreateVM(HOST, MACHINE, DISK_SIZE))
        self.write(self._host)

    def _policy(self) -> None:
        self.step("A storage policy that requires nothing yet; the machine gets it")
        self.call(self._vcenter, CreateStoragePolicy(POLICY))
        self.call(self._vcenter, SetStoragePolicy(MACHINE, POLICY))
        require(PLAIN in self.disk().read_bytes(), "the disk file holds the plain text")

    def _compliance(self) -> None:
        self.step(
            "Now the policy requires encryption: the machine is not compliant until it is set"
        )
        self.call(self._vcenter, UpdateStoragePolicy(POLICY, encrypt=True))
        for result in self.call(self._vcenter, CheckCompliance()):
            self.detail(f"{result.machine} {result.part}: {result.status}, {result.reason}")
        for result in self.call(self._vcenter, SetStoragePolicy(MACHINE, POLICY)):
            self.detail(f"{result.machine} {result.part}: {result.status}")
        require(PLAIN[:32] not in self.disk().read_bytes(), "the disk file holds ciphertext")

    def _tpm(self) -> None:
        self.step("A virtual TPM, with which the guest seals a secret")
        self.call(self._vcenter, AddTPM(MACHINE))
        self._sealed = self.ask(self._host, HOST, GUEST, SealWithTPM(MACHINE, SECRET))
        try:
            self.call(self._vcenter, DecryptVM(MACHINE))
        except InvalidState as refusal:
            self.detail(f"decryption is refused: {refusal.message}")
        else:
            require(False, "the home of a machine with a virtual TPM stays encrypted")

    def _clone(self) -> None:
        self.step("A clone with a copy of the TPM unseals the secret, one with a new TPM does not")
        for name, policy in (
            ("copy", TPMProvisionPolicy.COPY),
            ("replaced", TPMProvisionPolicy.REPLACE),
        ):
            self.call(self._vcenter, CloneVM(MACHINE, name, policy))
            try:
                self.ask(self._host, HOST, GUEST, UnsealWithTPM(name, self._sealed))
            except InvalidArgument as refusal:
                require(policy is TPMProvisionPolicy.REPLACE, refusal.message)
                self.detail(f"{name}: {refusal.message}")
            else:
                require(policy is TPMProvisionPolicy.COPY, "a new TPM has other secrets")
                self.detail(f"{name}: unsealed")

    def _move(self) -> None:
        self.step("The machine moves to the other host, and its TPM with it")
        self.call(self._vcenter, MigrateVM(MACHINE, SECOND_HOST))
        data = self.ask(self._other, SECOND_HOST, GUEST, UnsealWithTPM(MACHINE, self._sealed))
        require(data == SECRET, "the TPM unseals on the other host")
        self.read(self._other, name=SECOND_HOST)
