"""Old ciphers and modes, whose modules differ between versions of `cryptography`.

They are imported from their module in the newest version, or else from that in older versions. A
build of OpenSSL without its legacy provider lacks some of them.
"""

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def _cipher_class(module: str, name: str) -> Callable[..., Any]:
    for package in ("decrepit", "primitives"):
        try:
            return getattr(import_module(f"cryptography.hazmat.{package}.ciphers.{module}"), name)  # type: ignore[no-any-return]  # a class of the library, by its name
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"cryptography has no {module}.{name}; install version 43 or later")


TripleDES = _cipher_class("algorithms", "TripleDES")
ARC4 = _cipher_class("algorithms", "ARC4")
Blowfish = _cipher_class("algorithms", "Blowfish")
Camellia = _cipher_class("algorithms", "Camellia")
CAST5 = _cipher_class("algorithms", "CAST5")
IDEA = _cipher_class("algorithms", "IDEA")
SEED = _cipher_class("algorithms", "SEED")
CFB = _cipher_class("modes", "CFB")
OFB = _cipher_class("modes", "OFB")


def _find_dh(name: str) -> Callable[..., Any]:
    """A class for Diffie-Hellman over finite fields, which newer versions warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        module = import_module("cryptography.hazmat.primitives.asymmetric.dh")
        return getattr(module, name)  # type: ignore[no-any-return]  # a class of the library


DHPrivateKey = _find_dh("DHPrivateKey")
DHPublicKey = _find_dh("DHPublicKey")
DHPrivateNumbers = _find_dh("DHPrivateNumbers")
DHPublicNumbers = _find_dh("DHPublicNumbers")
DHParameterNumbers = _find_dh("DHParameterNumbers")
