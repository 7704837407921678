"""Starting nbdkit for a disk."""

import ipaddress
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kmipkit_certs.credentials import (
    HAS_MEMORY_FILES,
    certificates_pem,
    memory_file,
    memory_path,
)

from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState
from kmipkit_vsphere.rpc.tls import Credentials

PLUGIN: Final = Path(__file__).with_name("plugin.py")
ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
"""nbdkit's Python finds its library through the first ``python3`` of the path: the system's."""


@dataclass(frozen=True, slots=True)
class Files:
    """Paths of PEM files, and the descriptors that nbdkit must inherit for them."""

    certificate: str
    key: str
    authorities: str
    descriptors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """A disk of a machine on a host, and where clients connect to it."""

    host: str
    address: tuple[str, int]
    credentials: Credentials
    machine: str
    disk: int = 0
    socket: Path | None = None
    port: int | None = None
    readonly: bool = False
    listen: str = "127.0.0.1"
    tls_certificates: Path | None = None

    def __post_init__(self) -> None:
        """Plain text of encrypted disks is not sent over a network (requirement R42)."""
        if self.socket is None and self.tls_certificates is None and not _is_loopback(self.listen):
            raise InvalidArgument(
                f"{self.listen} can be reached from other computers: use --tls-certificates, a"
                " loopback address or a socket"
            )

    def command(self, files: Files) -> Sequence[str]:
        """The command line of nbdkit."""
        endpoint: tuple[str, ...] = (
            ("-U", str(self.socket)) if self.socket else ("-i", self.listen, "-p", str(self.port))
        )
        if self.tls_certificates is not None:
            folder = self.tls_certificates.absolute()
            endpoint += ("--tls=require", f"--tls-certificates={folder}", "--tls-verify-peer")
        return (
            *("nbdkit", "--foreground", "--exit-with-parent", *endpoint),
            *(("--readonly",) if self.readonly else ()),
            *("python", str(PLUGIN)),
            f"address={self.address[0]}",
            f"port={self.address[1]}",
            f"host={self.host}",
            f"machine={self.machine}",
            f"disk={self.disk}",
            f"cert={files.certificate}",
            f"key={files.key}",
            f"ca={files.authorities}",
        )

    @contextmanager
    def files(self) -> Iterator[Files]:
        """What nbdkit's Python reads: unencrypted PEM, in memory, so that no key gets to a disk."""
        paths = self.credentials
        if not HAS_MEMORY_FILES:
            own = paths.certificate.absolute()
            key = (paths.key or own).absolute()
            yield Files(str(own), str(key), str(paths.authorities.absolute()), ())
            return
        loaded, trusted = paths.own(), certificates_pem(paths.trusted())
        with (
            memory_file(loaded.certificate_pem() + loaded.key_pem()) as first,
            memory_file(trusted) as second,
        ):
            pair = memory_path(first)
            yield Files(pair, pair, memory_path(second), (first, second))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a name: nobody knows where it will lead
        return False


def run(export: Export) -> int:
    """Run nbdkit until it ends or Ctrl-C is pressed; returns its exit status.

    Raises :class:`InvalidState` if nbdkit is not installed.
    """
    if shutil.which("nbdkit") is None:
        raise InvalidState(
            "nbdkit is not installed; on Debian: apt install nbdkit nbdkit-plugin-python"
        )
    with export.files() as files:
        process = subprocess.Popen(  # noqa: S603 - the command is made above
            export.command(files),
            stdout=sys.stderr,
            env=ENVIRONMENT,
            pass_fds=files.descriptors,
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            process.terminate()  # no effect if it has ended
            process.wait()
