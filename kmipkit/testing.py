"""A key server inside a test; see :mod:`kmipkit_testing`, which has all of it.

This is the only module of the protocol that imports another package: the name under which a test finds
the server.
"""

try:
    from kmipkit_testing import (
        PKI,
        ClientFiles,
        ConnectionSettings,
        DirectClient,
        KeyServer,
        Seed,
        key_server,
        shared_pki,
    )
except ModuleNotFoundError as error:
    if (error.name or "kmipkit").startswith("kmipkit"):
        raise
    _remedy = f"{__name__} needs {error.name}; run: pip install 'kmipkit[testing]'"
    raise ModuleNotFoundError(_remedy, name=error.name) from None

__all__ = [
    "PKI",
    "ClientFiles",
    "ConnectionSettings",
    "DirectClient",
    "KeyServer",
    "Seed",
    "key_server",
    "shared_pki",
]
