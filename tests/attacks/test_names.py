"""Names of accounts: users and certificates never share one.

The account of a certificate owns keys. If an administrator, who manages users, could make a user with
the same account, it would read the keys of everybody.
"""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.revocation_status import PeerCertificate
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_client.calls import Call
from kmipkit_server.identity.certificate import IdentityRule, NoIdentity
from kmipkit_server.identity.identity import Identity
from laboratory import START, Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateGroupRequest,
    CreateUserRequest,
    PasswordCredential,
)
from kmipkit.spec.enums import (
    CertificateType,
    CredentialType,
    CryptographicAlgorithm,
    NameType,
    Operation,
    ResultReason,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1, V3_0, Version

ADMINISTRATOR = "administrator"
CREATE = calls.create(CryptographicAlgorithm.AES, 128, CryptographicUsageMask.ENCRYPT, None, None)
LOCATE = calls.locate(None, None, None, None, None, None)


def administer(laboratory: Laboratory, operation: Operation, payload: Any) -> str:
    call = calls.raw(operation, payload)
    made = laboratory.ask(call, version=V3_0, identity=ADMINISTRATOR)
    return str(made.unique_identifier)


def name_of(text: str) -> Name:
    return Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def user(laboratory: Laboratory, name: str, kind: CredentialType, credential: Any) -> str:
    """A user that the administrator makes, with a credential."""
    request = CreateCredentialRequest(
        credential_type=kind, attributes=Attributes(), credential=credential
    )
    link = administer(laboratory, Operation.CREATE_CREDENTIAL, request)
    attributes = Attributes.of((Tag.NAME, name_of(name)), (Tag.CREDENTIAL_LINK, [link]))
    return administer(laboratory, Operation.CREATE_USER, CreateUserRequest(attributes=attributes))


def with_password(laboratory: Laboratory, name: str) -> str:
    return user(laboratory, name, CredentialType.PASSWORD, PasswordCredential(password="known"))


def as_user(laboratory: Laboratory, name: str, call: Any, version: Any = V2_1) -> Any:
    """The result of an operation with the password of a user, on the administrator's connection."""
    value = UsernameAndPassword(username=name, password="known")
    kind = CredentialType.USERNAME_AND_PASSWORD
    credential = Credential(credential_type=kind, credential_value=value)
    request = messages.request(version, [call], credential)
    [result] = messages.results([call], laboratory.send(request, version, ADMINISTRATOR))
    return result


def require_refusal(result: Any) -> None:
    assert isinstance(result, OperationFailed)
    assert result.reason is ResultReason.PERMISSION_DENIED


def test_a_user_is_not_the_certificate_of_the_same_name(laboratory: Laboratory) -> None:
    """The administrator reads the keys of the account of a certificate."""
    key = laboratory.ask(CREATE, identity="victim")
    with_password(laboratory, "victim")
    require_refusal(as_user(laboratory, "victim", calls.get(key, None, None, None)))
    assert as_user(laboratory, "victim", LOCATE).ids == ()
    own = as_user(laboratory, "victim", CREATE)
    assert as_user(laboratory, "victim", LOCATE).ids == (own,)
    assert laboratory.ask(LOCATE, identity="victim").ids == (key,)


def test_a_certificate_credential_leads_to_the_account_of_its_user(laboratory: Laboratory) -> None:
    """The same with a certificate of the administrator's own in place of a password."""
    authority = Authority.create("ca", "ecdsa-p256", START)
    issued = authority.issue("mine", Purpose.CLIENT, START).certificate
    der = issued.public_bytes(Encoding.DER)
    value = Certificate(certificate_type=CertificateType.X_509, certificate_value=der)
    user(laboratory, "victim", CredentialType.CERTIFICATE, value)
    peer = Identity("mine", certificate=PeerCertificate.of(issued))
    assert trio.run(laboratory.dispatcher.admit, peer).name == "user:victim"


def test_a_user_with_the_name_of_an_administrator_is_none(laboratory: Laboratory) -> None:
    """A user gets the rights of an administrator by its name."""
    with_password(laboratory, ADMINISTRATOR)
    group = calls.raw(Operation.CREATE_GROUP, CreateGroupRequest(attributes=Attributes()))
    require_refusal(as_user(laboratory, ADMINISTRATOR, group, V3_0))


def rename(laboratory: Laboratory, identifier: str, old: str, new: str) -> None:
    call = calls.modify_attribute(identifier, "Name", name_of(new), None, name_of(old))
    laboratory.ask(call, identity=ADMINISTRATOR)


def test_a_renamed_user_keeps_its_account(laboratory: Laboratory) -> None:
    """The administrator renames a user, which then owns the keys of another one."""
    with_password(laboratory, "victim")
    key = as_user(laboratory, "victim", CREATE)
    own = with_password(laboratory, "own")
    rename(laboratory, own, "own", "other")
    assert as_user(laboratory, "other", LOCATE).ids == ()
    require_refusal(as_user(laboratory, "other", calls.get(key, None, None, None)))


def test_no_certificate_has_the_account_of_a_user() -> None:
    """A client with a certificate for "user:victim" reads the keys of the user."""
    authority = Authority.create("ca", "ecdsa-p256", START)
    issued = authority.issue("user:victim", Purpose.CLIENT, START).certificate
    der = issued.public_bytes(Encoding.DER)
    with pytest.raises(NoIdentity):
        IdentityRule("cn").identify(der)
    # The operator of the server may decide otherwise.
    assert IdentityRule("cn", {"user:victim": "old"}).identify(der).name == "old"


# --- stores of earlier servers -------------------------------------------------------------------


def as_before(laboratory: Laboratory, identifier: str) -> None:
    """Store a user as servers did before users had accounts of their own."""

    def work(transaction: Any) -> None:
        record = transaction.get(identifier)
        transaction.update(record, record.replace(material=b""))

    async def run() -> None:
        async with laboratory.serving():
            await laboratory.store.run(work, writes=True)

    trio.run(run)


def test_a_user_of_an_earlier_server_keeps_its_objects(laboratory: Laboratory) -> None:
    """The user loses all keys with the new version of the server."""
    as_before(laboratory, with_password(laboratory, "array"))
    key = as_user(laboratory, "array", CREATE)
    record = laboratory.record(key)
    assert record is not None
    assert record.owner == "array"
    assert as_user(laboratory, "array", LOCATE).ids == (key,)


def test_a_user_of_an_earlier_server_cannot_be_renamed_to_an_account(
    laboratory: Laboratory,
) -> None:
    """The administrator renames such a user, and reads the keys of the account of a certificate."""
    key = laboratory.ask(CREATE, identity="victim")
    identifier = with_password(laboratory, "array")
    as_before(laboratory, identifier)
    own = as_user(laboratory, "array", CREATE)
    rename(laboratory, identifier, "array", "victim")
    assert as_user(laboratory, "victim", LOCATE).ids == (own,)
    require_refusal(as_user(laboratory, "victim", calls.get(key, None, None, None)))


RENAMINGS: dict[str, Callable[[str, Version], Call[Any]]] = {
    "modified": lambda identifier, version: calls.modify_attribute(
        identifier,
        "Name",
        name_of(""),
        0 if version < V2_0 else None,
        None if version < V2_0 else name_of("own"),
    ),
    "added": lambda identifier, _: calls.add_attribute(identifier, "Name", name_of("")),
    "deleted": lambda identifier, version: calls.delete_attribute(
        identifier, "Name", 0 if version < V2_0 else None, None
    ),
}


@pytest.mark.parametrize("version", [V1_4, V2_1, V3_0], ids=str)
@pytest.mark.parametrize("kind", RENAMINGS)
def test_a_user_keeps_a_name(laboratory: Laboratory, version: Version, kind: str) -> None:
    """An empty name is that of the server itself, and no name would lock the user out."""
    identifier = with_password(laboratory, "own")
    key = as_user(laboratory, "own", CREATE)
    with pytest.raises(OperationFailed) as caught:
        laboratory.ask(RENAMINGS[kind](identifier, version), version, identity=ADMINISTRATOR)
    assert caught.value.reason is ResultReason.INVALID_FIELD
    assert as_user(laboratory, "own", LOCATE).ids == (key,)
