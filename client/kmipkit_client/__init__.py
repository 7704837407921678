"""KMIP clients: :class:`AsyncClient` for trio and asyncio, :class:`Client` for blocking programs.

from kmipkit_client import Client, material

with Client("kms.example.org", ca="ca.crt", cert="me.crt", key="me.key") as client:
    identifier = client.create(name="backup 2026")
    key = material(client.get(identifier))
"""

from kmipkit_client._async.client import AsyncClient
from kmipkit_client._sync.client import Client
from kmipkit_client.errors import ClientError, ConnectionFailed, OperationFailed, TimedOut
from kmipkit_client.values import (
    Encrypted,
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
    "AsyncClient",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "Encrypted",
    "Located",
    "OperationFailed",
    "TimedOut",
    "certificate",
    "material",
    "opaque_object",
    "private_key",
    "public_key",
    "secret_data",
    "symmetric_key",
]
