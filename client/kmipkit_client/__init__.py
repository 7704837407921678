"""KMIP clients: :class:`AsyncClient` for trio and asyncio, :class:`Client` for blocking programs.

    from kmipkit_client import Client, material

    with Client("kms.example.org", ca="ca.crt", cert="me.crt", key="me.key") as client:
        identifier = client.create(name="backup 2026")
        key = material(client.get(identifier))

Names are imported on first use, so that ``kmipkit --help`` does not load the codec.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmipkit_client import calls, crypto_calls, payload_calls
    from kmipkit_client._async.client import AsyncClient
    from kmipkit_client._sync.client import Client
    from kmipkit_client.errors import ClientError, ConnectionFailed, OperationFailed, TimedOut
    from kmipkit_client.values import (
        GCM,
        Encrypted,
        KeyPair,
        Located,
        certificate,
        material,
        opaque_object,
        private_key,
        public_key,
        secret_data,
        symmetric_key,
    )

__all__ = [
    "GCM",
    "AsyncClient",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "Encrypted",
    "KeyPair",
    "Located",
    "OperationFailed",
    "TimedOut",
    "calls",
    "certificate",
    "crypto_calls",
    "material",
    "opaque_object",
    "payload_calls",
    "private_key",
    "public_key",
    "secret_data",
    "symmetric_key",
]

_MODULES = {
    "AsyncClient": "_async.client",
    "Client": "_sync.client",
    **dict.fromkeys(["ClientError", "ConnectionFailed", "OperationFailed", "TimedOut"], "errors"),
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.endswith("calls"):
        return import_module(f"{__name__}.{name}")
    try:
        module = import_module(f"{__name__}.{_MODULES.get(name, 'values')}")
    except ModuleNotFoundError as error:
        if error.name != "anyio":
            raise
        remedy = "AsyncClient needs the package anyio; run: pip install 'kmipkit[client]'"
        raise ModuleNotFoundError(remedy, name=error.name) from None
    return getattr(module, name)
