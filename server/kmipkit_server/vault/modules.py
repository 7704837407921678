"""PKCS #11 modules: the shared library of a token, found and loaded."""

import threading
from pathlib import Path
from typing import Any

from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.pkcs11_uri import PKCS11URI

Module = Any
"""A module that is loaded. The types of pkcs11 are not named, since the package may not be there."""
Token = Any
Session = Any
Key = Any

LOCK = threading.RLock()
"""Held while a token is used: all sessions of a process share one login (PKCS #11 2.40 §5.6)."""

_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib")
_FOLDERS = ("", "pkcs11", "softhsm", "opensc")
_PROXY = "p11-kit-proxy"
"""The module of p11-kit, which offers the tokens of all modules that are installed."""

MISSING_PACKAGE = (
    "a root key in a PKCS #11 token needs a package that is not installed; run:"
    " pip install 'kmipkit[hsm]'"
)


def module_path(uri: PKCS11URI) -> Path:
    """The file of the module. VaultError if there is none."""
    stated = uri.query.get("module-path")
    if stated is not None:
        path = Path(stated)
        if not path.is_file():
            raise VaultError(
                f"the PKCS #11 module {path} does not exist; install it, or correct module-path"
            )
        return path
    name = uri.query.get("module-name", _PROXY)
    found = next((each for each in _candidates(name) if each.is_file()), None)
    if found is None:
        raise VaultError(
            f"there is no PKCS #11 module {name!r} in {', '.join(_LIBRARIES)}; install it, or name its"
            " file with module-path"
            if "module-name" in uri.query
            else "the URI of the root key names no PKCS #11 module; add ?module-path=FILE"
        )
    return found


def _candidates(name: str) -> list[Path]:
    """Files that may be a module: "without the file extension or a prefix" (RFC 7512 §2.3)."""
    if "/" in name:
        return []
    files = [f"lib{name}.so", f"{name}.so"]
    bases = [Path(each) for each in _LIBRARIES]
    # Debian has a folder for each architecture.
    bases += [folder for base in bases[:1] for folder in sorted(base.glob("*-linux-*"))]
    return [base / folder / file for base in bases for folder in _FOLDERS for file in files]


def load(path: Path) -> Module:
    """The module, loaded. VaultError if that fails."""
    try:
        import pkcs11
    except ImportError:
        raise VaultError(MISSING_PACKAGE) from None
    try:
        return pkcs11.lib(str(path))
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise VaultError(f"the PKCS #11 module {path} cannot be loaded: {reason}") from None
