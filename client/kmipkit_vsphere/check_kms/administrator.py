"""What the administrator of the key server does: vCenter itself never revokes or destroys a key.

Only objects in the ledger are touched.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kmipkit_client import calls, messages
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed

from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.spec.enums import CredentialType, RevocationReasonCode
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, Version
from kmipkit_vsphere.check_kms.observed import ObservedServer
from kmipkit_vsphere.providers.kmip_session import Login


@dataclass(frozen=True, slots=True)
class Administrator:
    """One message on a connection of its own for each call. KMIPError if it fails."""

    server: ObservedServer

    async def revoke(self, key: str) -> None:
        """Deactivate a key of the check."""
        self._require_own(key)
        await self.ask(calls.revoke(key, RevocationReasonCode.CESSATION_OF_OPERATION, None, None))

    async def destroy(self, key: str) -> None:
        """Destroy a key of the check."""
        self._require_own(key)
        await self.ask(calls.destroy(key))
        self.server.ledger.created.pop(key, None)

    async def initial_date(self, key: str) -> datetime | None:
        """When the server says that it created an object; None if it does not say."""
        found = await self.ask(calls.get_attributes(key, (Tag.INITIAL_DATE,)))
        date = found.get(Tag.INITIAL_DATE)
        return date if isinstance(date, datetime) else None

    async def ask(self, call: Call[Any], version: Version = V1_1) -> Any:
        """The result of one operation."""
        connection = await self.server.connect()
        try:
            request = messages.request(version, [call], _credential(self.server.login))
            [result] = messages.results([call], await connection.exchange(request))
        finally:
            await connection.aclose()
        if isinstance(result, OperationFailed):
            raise result
        return result

    def _require_own(self, key: str) -> None:
        assert key in self.server.ledger.created, "the check touches only what it has created"


def _credential(login: Login | None) -> Credential | None:
    if login is None:
        return None
    value = UsernameAndPassword(username=login.user_name, password=login.password.reveal().decode())
    kind = CredentialType.USERNAME_AND_PASSWORD
    return Credential(credential_type=kind, credential_value=value)
