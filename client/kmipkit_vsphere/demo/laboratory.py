"""The laboratory of the demonstration: two authorities, and the command lines of the roles.

The key server has its own authority, which it makes itself; vCenter gets a client certificate from
it. The roles among themselves use another one, so that no host could ever speak to the key server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory

from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.clock import system_clock
from kmipkit_vsphere.rpc.tls import Credentials

VCENTER, HOST, ADMINISTRATOR, GUEST = "vcenter", "esx01", "administrator", "guest"


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Where everything lies."""

    folder: Path

    @property
    def kms(self) -> Path:
        return self.folder / "kms"

    @property
    def vcenter(self) -> Path:
        return self.folder / "vcenter"

    @property
    def host(self) -> Path:
        return self.folder / "esx01"

    @property
    def _roles(self) -> Directory:
        return Directory(self.folder / "roles-pki")

    @property
    def _kms_pki(self) -> Directory:
        return Directory(self.kms / "certs")

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return self.folder / f"{name}.log"

    def make_roles(self, *others: str) -> None:
        """The authority of the roles, and a certificate for each, and for more hosts."""
        now = system_clock()
        self._roles.init("laboratory roles", "ecdsa-p256", now)
        for name in (VCENTER, HOST, ADMINISTRATOR, GUEST, *others):
            self.add_role(name)

    def add_role(self, name: str) -> None:
        """A certificate for one more role."""
        # vCenter is called and calls: hosts take it as a client, administrators as a server. Tools
        # for the Web Services API know it by its address only.
        local = ("localhost", "127.0.0.1") if name == VCENTER else ()
        self._roles.issue(name, Purpose.BOTH, system_clock(), alternative=[name, *local])

    def admit_vcenter(self) -> None:
        """Sign a client certificate for vCenter with the key server's authority."""
        self._kms_pki.issue(VCENTER, Purpose.CLIENT, system_clock())

    def sign_for_vcenter(self, request: str) -> str:
        """Sign a request of vCenter (PEM) with the key server's authority; the certificate (PEM)."""
        parsed = x509.load_pem_x509_csr(request.encode())
        signed = self._kms_pki.authority().sign(parsed, Purpose.CLIENT, system_clock())
        return to_pem(signed)

    def role(self, name: str) -> Credentials:
        """Credentials among the roles."""
        files = self._roles.files(name)
        return Credentials(files.cert, files.key, self._roles.ca)

    def kmip(self) -> Credentials:
        """vCenter's credentials as a KMIP client."""
        files = self._kms_pki.files(VCENTER)
        return Credentials(files.cert, files.key, self._kms_pki.ca)

    def kms_command(self) -> Sequence[str]:
        """The key server."""
        return ("serve", "--data-dir", str(self.kms))

    def vcenter_command(self, folder: str = VCENTER, *, kmip: bool = True) -> Sequence[str]:
        """A vCenter; without a key server it needs no credentials for one."""
        return (
            *("vcenter", "serve", "--data-dir", str(self.folder / folder)),
            *_files(self.role(VCENTER), ""),
            *(_files(self.kmip(), "kms-") if kmip else ()),
        )

    def host_command(self, name: str = HOST) -> Sequence[str]:
        """A host."""
        folder = str(self.folder / name)
        return (
            *("host", "serve", "--name", name, "--data-dir", folder, "--guest", GUEST),
            *_files(self.role(name), ""),
        )

    def trust_authority_command(self, name: str) -> Sequence[str]:
        """A Trust Authority host."""
        folder = str(self.folder / name)
        return (
            *("trust-authority", "serve", "--name", name, "--data-dir", folder),
            *_files(self.role(name), ""),
        )

    def roles_authority(self) -> str:
        """The certificate of the authority of the roles, PEM."""
        return self._roles.ca.read_text()


def _files(credentials: Credentials, prefix: str) -> Sequence[str]:
    return (
        *(f"--{prefix}cert", str(credentials.certificate)),
        *(f"--{prefix}key", str(credentials.key)),
        *(f"--{prefix}ca", str(credentials.authorities)),
    )
