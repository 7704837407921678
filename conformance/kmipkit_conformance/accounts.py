"""Set-up of cases whose requests contain credentials of several clients: each needs an account.

Devices and users with passwords get accounts by Create Credential and Create User of 3.0, if the
server supports them; they are removed afterwards. A case with one user does not need an account:
servers may ignore credentials next to a certificate, and its objects are those of the certificate.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kmipkit_client import Client

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateUserRequest,
    DeviceCredential,
    PasswordCredential,
)
from kmipkit.model.payloads.lifecycle import ObliterateRequest
from kmipkit.spec.enums import CredentialType, NameType, Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import Case
from kmipkit_conformance.target import Target

REQUIRED_OPERATIONS = frozenset({Operation.CREATE_CREDENTIAL, Operation.CREATE_USER})
"""Operations that the server must support."""

_FIELDS = {
    Tag.DEVICE_SERIAL_NUMBER: "device_serial_number",
    Tag.PASSWORD: "password",
    Tag.DEVICE_IDENTIFIER: "device_identifier",
    Tag.NETWORK_IDENTIFIER: "network_identifier",
    Tag.MACHINE_IDENTIFIER: "machine_identifier",
    Tag.MEDIA_IDENTIFIER: "media_identifier",
}


@dataclass(frozen=True, slots=True)
class Account:
    """A client that a case knows, by its credential."""

    type: CredentialType
    credential: DeviceCredential | PasswordCredential
    name: str | None = None
    """The user name; None for a device."""


def accounts_of(case: Case) -> list[Account]:
    """The accounts that the case needs: those of all devices, and of users if there are several."""
    every = (account for step in case.steps for account in _accounts(step.request))
    distinct = list(dict.fromkeys(every))
    users = [account for account in distinct if account.name is not None]
    return distinct if len(users) > 1 else [each for each in distinct if each.name is None]


def _accounts(item: Item) -> Iterator[Account]:
    if not isinstance(item.value, tuple):
        return
    if item.tag != Tag.CREDENTIAL:
        for child in item.value:
            yield from _accounts(child)
        return
    credential_type, value = item.value
    assert isinstance(value.value, tuple)
    texts = {Tag(child.tag): str(child.value) for child in value.value}
    if credential_type.value == CredentialType.DEVICE:
        fields = {_FIELDS[tag]: text for tag, text in texts.items()}
        yield Account(CredentialType.DEVICE, DeviceCredential(**fields))  # type: ignore[arg-type]  # texts
    elif credential_type.value == CredentialType.USERNAME_AND_PASSWORD:
        yield Account(
            CredentialType.PASSWORD,
            PasswordCredential(password=texts.get(Tag.PASSWORD)),
            texts[Tag.USERNAME],
        )


@contextmanager
def accounts(target: Target, case: Case, operations: frozenset[Operation] | None) -> Iterator[None]:
    """Accounts for the clients of a case while it is played, if the server supports that.

    Raises OperationFailed if the server offers these operations, but refuses them.
    """
    needed = accounts_of(case)
    if not needed or not (operations or frozenset()) >= REQUIRED_OPERATIONS:
        yield
        return
    created: list[str] = []
    with target.client(V3_0) as client:
        try:
            for account in needed:
                created += _create(client, account)
            yield
        finally:
            for identifier in reversed(created):
                _remove(client, identifier, operations)


def _remove(client: Client, identifier: str, operations: frozenset[Operation] | None) -> None:
    """Remove an account, if possible with its record: the server is to be as it was before."""
    if Operation.OBLITERATE in (operations or ()):
        client.request(Operation.OBLITERATE, ObliterateRequest(unique_identifier=identifier))
    else:
        client.destroy(identifier)


def _create(client: Client, account: Account) -> list[str]:
    """The identifiers of a new credential and its user."""
    credential = client.request(
        Operation.CREATE_CREDENTIAL,
        CreateCredentialRequest(
            credential_type=account.type, attributes=Attributes(), credential=account.credential
        ),
    ).unique_identifier
    name = Name(
        name_value=account.name or f"kmipkit-conformance-{os.urandom(8).hex()}",
        name_type=NameType.UNINTERPRETED_TEXT_STRING,
    )
    attributes = Attributes.of((Tag.CREDENTIAL_LINK, credential), (Tag.NAME, name))
    user = client.request(Operation.CREATE_USER, CreateUserRequest(attributes=attributes))
    return [credential, user.unique_identifier]
