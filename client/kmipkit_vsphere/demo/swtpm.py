"""A software TPM (swtpm) with an endorsement certificate, as its own process (vsphere.md §7.6)."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from kmipkit_vsphere.model.errors import InvalidState, VSphereError
from kmipkit_vsphere.trust_authority import tpm2

PACKAGES: Final = (
    "on Debian: apt install swtpm swtpm-tools libtss2-dev libtss2-tcti-swtpm0 pkg-config gcc,"
    " then pip install tpm2-pytss"
)
START_TIMEOUT: Final = 120.0


def missing() -> list[str]:
    """The required tools that are not installed."""
    tools = [tool for tool in ("swtpm", "swtpm_setup") if shutil.which(tool) is None]
    return tools if tpm2.is_installed() else [*tools, "tpm2-pytss"]


class SoftwareTPM:
    """One TPM, made in a folder by its own TPM maker; :meth:`boot` resets its registers."""

    def __init__(self, folder: Path) -> None:
        lacking = missing()
        if lacking:
            raise InvalidState(f"{', '.join(lacking)} is not installed; {PACKAGES}")
        self._folder = folder.absolute()  # the daemon changes to /
        self._process: subprocess.Popen[bytes] | None = None
        self._manufacture()

    def _manufacture(self) -> None:
        folder = self._folder
        ca, state = folder / "ca", folder / "state"
        for part in (ca, state):
            part.mkdir(parents=True, mode=0o700)
        (folder / "ca.conf").write_text(
            f"statedir={ca}\nsigningkey={ca}/signkey.pem\n"
            f"issuercert={ca}/issuercert.pem\ncertserial={ca}/certserial\n"
        )
        (folder / "ca.opts").write_text("")
        (folder / "setup.conf").write_text(
            "create_certs_tool=/usr/bin/swtpm_localca\n"
            f"create_certs_tool_config={folder}/ca.conf\n"
            f"create_certs_tool_options={folder}/ca.opts\nactive_pcr_banks=sha256\n"
        )
        command = ["swtpm_setup", "--tpm2", "--tpmstate", str(state)]
        command += ["--config", str(folder / "setup.conf"), "--create-ek-cert", "--lock-nvram"]
        command += ["--pcr-banks", "sha256", "--overwrite"]
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 -- our own
        if done.returncode:
            raise VSphereError(f"the software TPM could not be made: {done.stdout.decode()[-500:]}")

    def authorities(self) -> list[str]:
        """The certificates of its maker, PEM."""
        return [path.read_text() for path in sorted((self._folder / "ca").glob("*cert.pem"))]

    def boot(self) -> str:
        """Start it with cleared registers; where it can be reached, for ``--tpm``."""
        self.stop()
        port = _free_pair()
        where, control = (f"port={number},bindaddr=127.0.0.1" for number in (port, port + 1))
        command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._folder / 'state'}"]
        command += ["--server", f"type=tcp,{where}", "--ctrl", f"type=tcp,{control}"]
        command += ["--flags", "not-need-init,startup-clear"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 -- our own
        self._await(port)
        return f"swtpm:host=127.0.0.1,port={port}"

    def _await(self, port: int) -> None:
        """Until it listens: seen in the table of sockets, since it takes one client only."""
        assert self._process is not None
        end = time.monotonic() + START_TIMEOUT
        while not _listens(port):
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise VSphereError("the software TPM did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it, as a power cut does; nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _listens(port: int) -> bool:
    address = f"0100007F:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == address and fields[3] == "0A":
            return True
    return False


def _free_pair() -> int:
    """A port of which the next one is free too: the control port."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
