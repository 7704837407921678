"""A key server inside a test: :func:`key_server`, and a plug-in for pytest.

    from kmipkit.testing import key_server

    with key_server(objects=["backup"]) as kms, kms.client() as client:
        assert client.locate(name="backup").ids == (kms.ids["backup"],)

Names are imported on first use, so that a pytest with the plug-in pays nothing for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmipkit_testing.direct import DirectClient
    from kmipkit_testing.objects import Seed
    from kmipkit_testing.pki import PKI, ClientFiles, shared_pki
    from kmipkit_testing.server import ConnectionSettings, KeyServer, key_server

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

_MODULES = {
    **dict.fromkeys(["PKI", "ClientFiles", "shared_pki"], "pki"),
    "DirectClient": "direct",
    "Seed": "objects",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULES.get(name, 'server')}")
    return getattr(module, name)
