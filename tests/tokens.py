"""PKCS #11 tokens of SoftHSM for tests, each in a directory of its own."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
PIN = "4321"
SO_PIN = "87654321"
"""That of the security officer, who initializes the token."""


def missing() -> str:
    """Why there is no SoftHSM here; empty if there is one."""
    if importlib.util.find_spec("pkcs11") is None:
        return "python-pkcs11 is not installed"
    if shutil.which("softhsm2-util") is None or not module_or_none():
        return "SoftHSM is not installed (Debian: softhsm2)"
    return ""


def module_or_none() -> str | None:
    """The module of SoftHSM."""
    return next((each for each in _MODULES if Path(each).is_file()), None)


needs_softhsm = pytest.mark.skipif(bool(missing()), reason=missing() or "SoftHSM is here")


class Token:
    """A token, and where its PIN is."""

    def __init__(self, folder: Path, label: str) -> None:
        """``label`` must differ from those of the other tokens that this process has used."""
        self.folder = folder
        self.label = label
        self.configuration = folder / "softhsm2.conf"
        self.pin_file = folder / "pin"
        (folder / "tokens").mkdir(parents=True)
        self.configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\n")
        self.set_pin(PIN)
        self._run("--init-token", "--free", "--so-pin", SO_PIN, "--pin", PIN)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that uses it."""
        return {"SOFTHSM2_CONF": str(self.configuration)}

    def set_pin(self, text: str) -> None:
        """Write another PIN into the file."""
        self.pin_file.touch(0o600)
        self.pin_file.write_text(f"{text}\n")

    def uri(self, name: str = "root", **query: str) -> str:
        """The URI of a key in it."""
        parts = {"pin-source": f"file:{self.pin_file}", "module-path": str(module_or_none())}
        parts |= {key.replace("_", "-"): value for key, value in query.items()}
        text = "&".join(f"{key}={quote(value, safe='/:')}" for key, value in parts.items() if value)
        return f"pkcs11:token={quote(self.label)};object={quote(name)}?{text}"

    def remove(self) -> None:
        """Take the token away; :meth:`insert` puts it back."""
        (self.folder / "tokens").rename(self.folder / "elsewhere")
        (self.folder / "tokens").mkdir()

    def insert(self) -> None:
        """Put it back."""
        (self.folder / "tokens").rmdir()
        (self.folder / "elsewhere").rename(self.folder / "tokens")

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            ["softhsm2-util", *arguments, "--label", self.label],
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
        )
