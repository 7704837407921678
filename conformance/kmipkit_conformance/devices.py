"""Set-up of cases whose requests contain Device credentials: each device needs an account.

The accounts are created by Create Credential and Create User of 3.0, if the server supports them,
and destroyed afterwards.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from kmipkit_client import Client

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateUserRequest,
    DeviceCredential,
)
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


def devices(case: Case) -> list[DeviceCredential]:
    """The devices in the requests of a case."""
    all_devices = (device for step in case.steps for device in _credentials(step.request))
    return list(dict.fromkeys(all_devices))


def _credentials(item: Item) -> Iterator[DeviceCredential]:
    if not isinstance(item.value, tuple):
        return
    if item.tag == Tag.CREDENTIAL:
        credential_type, value = item.value
        if credential_type.value == CredentialType.DEVICE and isinstance(value.value, tuple):
            fields = {_FIELDS[Tag(child.tag)]: str(child.value) for child in value.value}
            yield DeviceCredential(**fields)  # type: ignore[arg-type]  # all of them are texts
        return
    for child in item.value:
        yield from _credentials(child)


@contextmanager
def accounts(target: Target, case: Case, operations: frozenset[Operation] | None) -> Iterator[None]:
    """Accounts for the devices of a case while it is played, if the server supports that.

    Raises OperationFailed if the server offers these operations, but refuses them.
    """
    case_devices = devices(case)
    if not case_devices or not (operations or frozenset()) >= REQUIRED_OPERATIONS:
        yield
        return
    created: list[str] = []
    with target.client(V3_0) as client:
        try:
            for device in case_devices:
                created += _account(client, device)
            yield
        finally:
            for identifier in reversed(created):
                client.destroy(identifier)


def _account(client: Client, device: DeviceCredential) -> list[str]:
    """The identifiers of a new credential and its user."""
    credential = client.request(
        Operation.CREATE_CREDENTIAL,
        CreateCredentialRequest(
            credential_type=CredentialType.DEVICE, attributes=Attributes(), credential=device
        ),
    ).unique_identifier
    name = Name(
        name_value=f"kmipkit-conformance-{os.urandom(8).hex()}",
        name_type=NameType.UNINTERPRETED_TEXT_STRING,
    )
    attributes = Attributes.of((Tag.CREDENTIAL_LINK, credential), (Tag.NAME, name))
    user = client.request(Operation.CREATE_USER, CreateUserRequest(attributes=attributes))
    return [credential, user.unique_identifier]
