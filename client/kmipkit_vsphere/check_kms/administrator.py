"""What the administrator of the key server does: vCenter itself never revokes or destroys a key.

Only objects in the ledger are touched.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from kmipkit_client import calls, messages
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed

from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.spec.enums import CredentialType, RevocationReasonCode
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, Version
from kmipkit_vsphere.check_kms.findings import NotPlayable
from kmipkit_vsphere.check_kms.observed import ObservedServer
from kmipkit_vsphere.model.errors import KeyProviderError
from kmipkit_vsphere.providers.kmip_session import Login

_CLOCK_TOLERANCE: Final = timedelta(minutes=1)
"""An object that is older than its Create by more than this is somebody else's."""


@dataclass(frozen=True, slots=True)
class Administrator:
    """One message on a connection of its own for each call. KMIPError if it fails."""

    server: ObservedServer

    async def revoke(self, key: str) -> None:
        """Deactivate a key of the check. NotPlayable: it might be another one."""
        await self._require_own(key)
        await self.ask(calls.revoke(key, RevocationReasonCode.CESSATION_OF_OPERATION, None, None))

    async def destroy(self, key: str) -> None:
        """Destroy a key of the check. NotPlayable: it might be another one."""
        await self._require_own(key)
        await self.ask(calls.destroy(key))
        self.server.ledger.created.pop(key, None)

    async def is_gone(self, key: str) -> bool:
        """Whether Get does not return it."""
        try:
            await self.ask(calls.get(key, None, None, None))
        except (OperationFailed, KeyProviderError):
            return True
        return False

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

    async def _require_own(self, key: str) -> None:
        """A server with a fault may answer Create with the identifier of an object that exists already.

        Every object has an Initial Date (KMIP 1.1 §3.23), which the server compares with its own clock.
        """
        created = self.server.ledger.created[key]  # the check touches only what it has created
        found = await self.ask(calls.get_attributes(key, (Tag.INITIAL_DATE,)))
        date = found.get(Tag.INITIAL_DATE)
        if not isinstance(date, datetime):
            raise NotPlayable("the server does not say when the object was created")
        if date < created - _CLOCK_TOLERANCE:
            raise NotPlayable(f"the object is from {date:%Y-%m-%d %H:%M:%S}, before the check")


def _credential(login: Login | None) -> Credential | None:
    if login is None:
        return None
    value = UsernameAndPassword(username=login.user_name, password=login.password.reveal().decode())
    kind = CredentialType.USERNAME_AND_PASSWORD
    return Credential(credential_type=kind, credential_value=value)
