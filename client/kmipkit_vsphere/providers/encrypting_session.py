"""Encrypt and Decrypt on a key server: the key never leaves it (KMIP 1.2 §4.29, §4.30).

vCenter always speaks KMIP 1.1, which does not have these operations. The Key Provider Service of a
trust authority uses the latest version that both sides have.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads.crypto import DecryptRequest, EncryptRequest
from kmipkit.model.payloads.query import QueryRequest
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    Operation,
    PaddingMethod,
    QueryFunction,
)
from kmipkit.spec.versions import V1_2, V1_3, V1_4, V2_0, V2_1
from kmipkit_vsphere.providers.kmip_session import KeyServer, KeyServerRefused, KMIPSession

VERSIONS: Final = (V2_1, V2_0, V1_4, V1_3, V1_2)
"""The versions with Encrypt and Decrypt, the latest first."""

CBC: Final = CryptographicParameters(
    block_cipher_mode=BlockCipherMode.CBC,
    padding_method=PaddingMethod.PKCS5,
    cryptographic_algorithm=CryptographicAlgorithm.AES,
)
"""What every server with these operations has; GCM has fields of its own only since 1.4."""


class EncryptingSession(KMIPSession):
    """A connection with Encrypt and Decrypt. All methods raise KeyServerRefused and the like."""

    def use_latest_version(self) -> None:
        """Use the latest version with Encrypt that the server has named; refused without any."""
        common = [version for version in VERSIONS if version in self._server_versions]
        if not common:
            raise KeyServerRefused(
                f"{self.server} cannot encrypt: it speaks no version of KMIP from {V1_2}", None
            )
        self.version = common[0]

    async def check_operations(self) -> None:
        """Query: refused unless the server has both operations."""
        request = QueryRequest(query_functions=(QueryFunction.QUERY_OPERATIONS,))
        answer = await self._ask(Operation.QUERY, request)
        missing = [
            operation.name.capitalize()
            for operation in (Operation.ENCRYPT, Operation.DECRYPT)
            if operation not in answer.operations
        ]
        if missing:
            raise KeyServerRefused(
                f"{self.server} cannot encrypt: its Query does not list {' and '.join(missing)}",
                None,
            )

    async def encrypt(self, key: str, iv: bytes, data: bytes) -> bytes:
        """Encrypt data with a key of the server: AES in CBC mode, PKCS #5 padding."""
        request = EncryptRequest(
            unique_identifier=key, cryptographic_parameters=CBC, data=data, iv_counter_nonce=iv
        )
        return self._bytes((await self._ask(Operation.ENCRYPT, request)).data)

    async def decrypt(self, key: str, iv: bytes, data: bytes) -> bytes:
        """The reverse of :meth:`encrypt`."""
        request = DecryptRequest(
            unique_identifier=key, cryptographic_parameters=CBC, data=data, iv_counter_nonce=iv
        )
        return self._bytes((await self._ask(Operation.DECRYPT, request)).data)

    def _bytes(self, data: bytes | None) -> bytes:
        if data is None:
            raise KeyServerRefused(f"{self.server} gave no data", None)
        return data


@asynccontextmanager
async def encrypting_session(server: KeyServer) -> AsyncIterator[EncryptingSession]:
    """A connection on which the version has been negotiated."""
    connection = await server.connect()
    try:
        kmip = EncryptingSession(connection, server.name, server.login)
        await kmip.negotiate()
        kmip.use_latest_version()
        yield kmip
    finally:
        with trio.CancelScope(shield=True):
            await connection.aclose()
