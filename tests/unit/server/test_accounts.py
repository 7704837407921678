"""Users, credentials and logins: whose request it is, and what a user would lose if that went wrong."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_server.identity import passwords
from kmipkit_server.identity.certificate import IdentityRule, NoIdentity
from kmipkit_server.identity.identity import SYSTEM, Identity
from laboratory import START, Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.credentials import (
    Credential,
    Device,
    HashedPassword,
    OneTimePassword,
    Ticket,
    TicketCredential,
    UsernameAndPassword,
)
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateGroupRequest,
    CreateUserRequest,
    DeviceCredential,
    HashedPasswordCredential,
    OTPCredential,
    PasswordCredential,
)
from kmipkit.model.payloads.limits import Objects, Operations, Right, Rights
from kmipkit.model.payloads.session import (
    DelegatedLoginRequest,
    LoginRequest,
    LogoutRequest,
)
from kmipkit.spec.enums import (
    CertificateType,
    CredentialType,
    CryptographicAlgorithm,
    HashingAlgorithm,
    NameType,
    ObjectType,
    Operation,
    OTPAlgorithm,
    ResultReason,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, V3_0, Version

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT


def fetch(identifier: str) -> Any:
    return calls.get(identifier, None, None, None)


def locate(attributes: Any = None) -> Any:
    return calls.locate(None, None, attributes, None, None, None)


CREATE = calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, None)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def raw(laboratory: Laboratory, operation: Operation, payload: Any, **who: Any) -> Any:
    return laboratory.ask(calls.raw(operation, payload), **({"version": V3_0} | who))


def credential(laboratory: Laboratory, kind: CredentialType, value: Any) -> str:
    request = CreateCredentialRequest(
        credential_type=kind, attributes=Attributes(), credential=value
    )
    made = raw(laboratory, Operation.CREATE_CREDENTIAL, request, identity="administrator")
    return str(made.unique_identifier)


def user(laboratory: Laboratory, name: str, *credentials: str) -> str:
    attributes = Attributes.of(
        (Tag.NAME, Name(name_value=name, name_type=NameType.UNINTERPRETED_TEXT_STRING)),
        (Tag.CREDENTIAL_LINK, list(credentials)),
    )
    request = CreateUserRequest(attributes=attributes)
    made = raw(laboratory, Operation.CREATE_USER, request, identity="administrator")
    return str(made.unique_identifier)


def with_password(laboratory: Laboratory, name: str, password: str) -> str:
    kind = CredentialType.PASSWORD
    return user(
        laboratory, name, credential(laboratory, kind, PasswordCredential(password=password))
    )


def shown(kind: CredentialType, value: Any) -> Credential:
    return Credential(credential_type=kind, credential_value=value)


def password(name: str, secret: str) -> Credential:
    value = UsernameAndPassword(username=name, password=secret)
    return shown(CredentialType.USERNAME_AND_PASSWORD, value)


def ask(
    laboratory: Laboratory,
    call: Any,
    credentials: Credential,
    version: Version = V2_1,
    identity: str = "me",
) -> Any:
    """The result of one operation under credentials."""
    request = messages.request(version, [call], credentials)
    response = laboratory.send(request, version, identity)
    [result] = messages.results([call], response)
    if isinstance(result, OperationFailed):
        raise result
    return result


def reason(error: Any) -> ResultReason:
    assert isinstance(error.value, OperationFailed)
    assert error.value.reason is not None
    return error.value.reason


def test_a_password_makes_the_request_that_of_its_user(laboratory: Laboratory) -> None:
    with_password(laboratory, "größe", "geheim 秘密")
    key = ask(laboratory, CREATE, password("größe", "geheim 秘密"))
    assert laboratory.record(key).owner == "user:größe"
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(fetch(key))
    assert reason(error) is ResultReason.PERMISSION_DENIED


@pytest.mark.parametrize("version", [V1_4, V2_1, V3_0], ids=str)
def test_a_wrong_password_is_refused_and_nothing_done(
    laboratory: Laboratory, version: Version
) -> None:
    with_password(laboratory, "array", "right")
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, CREATE, password("array", "wrong"), version)
    assert reason(error) is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL
    assert laboratory.ask(locate()).ids == ()


@pytest.mark.parametrize("name", ["array", "nobody", "without"])
def test_the_work_for_a_wrong_password_does_not_tell_who_exists(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Or an attacker measures which user names are worth guessing."""
    with_password(laboratory, "array", "right")
    user(laboratory, "without")
    hashed: list[str] = []

    def scrypt(password: str, salt: bytes) -> bytes:
        hashed.append(password)
        return bytes(32)

    monkeypatch.setattr(passwords, "_scrypt", scrypt)
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, CREATE, password(name, "wrong"))
    assert hashed == ["wrong"]
    assert str(error.value).endswith("the credentials are not those of a user")


def test_an_unknown_user_is_refused_unless_the_certificate_is_to_decide(
    laboratory: Laboratory,
) -> None:
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, CREATE, password("nobody", "x"))
    assert reason(error) is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL
    laboratory.dispatcher.accounts.ignores_unknown = True
    key = ask(laboratory, CREATE, password("nobody", "x"))
    assert laboratory.ask(fetch(key))


def test_no_password_is_in_the_database_or_in_a_representation(laboratory: Laboratory) -> None:
    with_password(laboratory, "array", "correct horse battery staple")
    assert "correct horse" not in repr(PasswordCredential(password="correct horse"))
    record = next(
        laboratory.record(one)
        for one in laboratory.ask(
            locate({"Object Type": ObjectType.PASSWORD_CREDENTIAL}),
            version=V3_0,
            identity="administrator",
        ).ids
    )
    assert b"correct horse" not in record.material


def test_only_administrators_make_and_find_users(laboratory: Laboratory) -> None:
    for operation, request in (
        (Operation.CREATE_GROUP, CreateGroupRequest(attributes=Attributes())),
        (Operation.CREATE_USER, CreateUserRequest(attributes=Attributes())),
    ):
        with pytest.raises(OperationFailed) as error:
            raw(laboratory, operation, request)
        assert reason(error) in (ResultReason.PERMISSION_DENIED, ResultReason.INVALID_FIELD)
    made = with_password(laboratory, "array", "secret")
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(calls.get_attributes(made, ()), version=V3_0)
    assert reason(error) is ResultReason.PERMISSION_DENIED
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(fetch(made), version=V3_0, identity="administrator")
    assert reason(error) is ResultReason.INVALID_OBJECT_TYPE


def test_two_users_cannot_have_one_name(laboratory: Laboratory) -> None:
    with_password(laboratory, "array", "secret")
    with pytest.raises(OperationFailed) as error:
        with_password(laboratory, "array", "other")
    assert reason(error) is ResultReason.NON_UNIQUE_NAME_ATTRIBUTE


def test_a_destroyed_credential_opens_nothing(laboratory: Laboratory) -> None:
    kept = credential(laboratory, CredentialType.PASSWORD, PasswordCredential(password="secret"))
    user(laboratory, "array", kept)
    assert ask(laboratory, CREATE, password("array", "secret"))
    laboratory.ask(calls.destroy(kept), version=V3_0, identity="administrator")
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, CREATE, password("array", "secret"))
    assert reason(error) is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL


def test_each_device_is_an_account_of_its_own(laboratory: Laboratory) -> None:
    for number in ("1", "2"):
        device = DeviceCredential(device_serial_number=number, password=f"secret {number}")
        kept = credential(laboratory, CredentialType.DEVICE, device)
        user(laboratory, f"drive {number}", kept)

    def drive(number: str, secret: str) -> Credential:
        value = Device(device_serial_number=number, password=secret, media_identifier="m")
        return shown(CredentialType.DEVICE, value)

    key = ask(laboratory, CREATE, drive("1", "secret 1"))
    assert ask(laboratory, fetch(key), drive("1", "secret 1"))
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, fetch(key), drive("2", "secret 2"))
    assert reason(error) is ResultReason.PERMISSION_DENIED
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, fetch(key), drive("1", "secret 2"))
    assert reason(error) is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL


def test_a_certificate_leads_to_its_user(laboratory: Laboratory) -> None:
    authority = Authority.create("ca", "ecdsa-p256", START)
    issued = authority.issue("old name", Purpose.CLIENT, START)
    der = issued.certificate.public_bytes(Encoding.DER)
    value = Certificate(certificate_type=CertificateType.X_509, certificate_value=der)
    user(laboratory, "array", credential(laboratory, CredentialType.CERTIFICATE, value))
    seen = Identity("old name", certificate=hashlib.sha256(der).digest())
    assert trio.run(laboratory.dispatcher.admit, seen).name == "user:array"
    other = Identity("old name", certificate=hashlib.sha256(b"another").digest())
    assert trio.run(laboratory.dispatcher.admit, other).name == "old name"


def hashed(name: str, secret: str, when: Any) -> HashedPassword:
    """KMIP 2.1 §9.11, written down once more."""
    first = hashlib.sha256((name + secret).encode()).digest()
    second = hashlib.sha256((secret + name).encode()).digest()
    micro = int(when.timestamp()) * 1_000_000 + when.microsecond
    stamp = micro.to_bytes(8, "big", signed=True)
    return HashedPassword(
        username=name,
        timestamp=when,
        hashed_password=hashlib.sha256(first + stamp).digest() + second,
    )


def test_a_hashed_password_proves_both_sides_and_cannot_be_replayed(
    laboratory: Laboratory,
) -> None:
    first = hashlib.sha256(b"arraysecret").digest()
    second = hashlib.sha256(b"secretarray").digest()
    kept = credential(
        laboratory,
        CredentialType.HASHED_PASSWORD,
        HashedPasswordCredential(
            hashing_algorithm=HashingAlgorithm.SHA_256,
            hashed_username_password=first,
            hashed_password_username=second,
        ),
    )
    user(laboratory, "array", kept)
    value = hashed("array", "secret", START + timedelta(microseconds=7))
    request = messages.request(V2_1, [CREATE], shown(CredentialType.HASHED_PASSWORD, value))
    answer = laboratory.send(request)
    stamp = (int(START.timestamp()) * 1_000_000 + 7).to_bytes(8, "big", signed=True)
    proof = hashlib.sha256(stamp + first + hashlib.sha256(second).digest()).digest()
    assert answer.response_header.server_hashed_password == proof
    assert messages.results([CREATE], answer)[0]
    [again] = messages.results([CREATE], laboratory.send(request))
    assert again.reason is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL


def test_a_one_time_password_is_good_once(laboratory: Laboratory) -> None:
    seed = bytes(range(20))
    kept = credential(
        laboratory,
        CredentialType.ONE_TIME_PASSWORD,
        OTPCredential(otp_algorithm=OTPAlgorithm.TOTP, otp_seed=seed),
    )
    user(laboratory, "array", kept)
    made = TOTP(seed, 6, SHA1(), 30).generate(int(START.timestamp()))
    value = OneTimePassword(username="array", one_time_password=made.decode())
    assert ask(laboratory, CREATE, shown(CredentialType.ONE_TIME_PASSWORD, value))
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, CREATE, shown(CredentialType.ONE_TIME_PASSWORD, value))
    assert reason(error) is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL


def login(laboratory: Laboratory, **fields: Any) -> Ticket:
    answer = raw(laboratory, Operation.LOGIN, LoginRequest(**fields), version=V2_1)
    assert isinstance(answer.ticket, Ticket)
    return answer.ticket


def ticket(value: Ticket) -> Credential:
    return shown(CredentialType.TICKET, TicketCredential(ticket=value))


def test_a_ticket_stands_for_its_account_until_it_is_withdrawn(laboratory: Laboratory) -> None:
    mine = login(laboratory)
    key = ask(laboratory, CREATE, ticket(mine), identity="another connection")
    assert laboratory.ask(fetch(key))
    raw(laboratory, Operation.LOGOUT, LogoutRequest(ticket=mine), version=V2_1)
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, CREATE, ticket(mine))
    assert reason(error) is ResultReason.INVALID_TICKET


def test_a_ticket_ends_with_its_lease(laboratory: Laboratory) -> None:
    short = login(laboratory, lease_time=60)
    laboratory.pass_time(seconds=61)
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, CREATE, ticket(short))
    assert reason(error) is ResultReason.INVALID_TICKET


def test_a_ticket_whose_requests_are_used_up_says_so(laboratory: Laboratory) -> None:
    """KMIP 2.1 §11.46, as the official cases TC-LOGIN-3 and TC-DLOGIN-1 expect."""
    few = login(laboratory, request_count=2)
    for _ in range(2):
        assert ask(laboratory, CREATE, ticket(few))
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, CREATE, ticket(few))
    assert reason(error) is ResultReason.USAGE_LIMIT_EXCEEDED
    laboratory.pass_time(days=1)
    with pytest.raises(OperationFailed) as error:
        ask(laboratory, CREATE, ticket(few))
    assert reason(error) is ResultReason.INVALID_TICKET


def test_a_delegated_ticket_allows_what_it_names_and_no_more(laboratory: Laboratory) -> None:
    mine, other = laboratory.ask(CREATE), laboratory.ask(CREATE)
    rights = Rights(
        rights=(
            Right(
                operations=Operations(operations=(Operation.GET,)),
                objects=Objects(unique_identifiers=(mine,)),
            ),
        )
    )
    request = DelegatedLoginRequest(rights=rights)
    given = raw(laboratory, Operation.DELEGATED_LOGIN, request, version=V2_1).ticket
    assert ask(laboratory, fetch(mine), ticket(given))
    for call in (fetch(other), calls.destroy(mine), CREATE):
        with pytest.raises(OperationFailed) as error:
            ask(laboratory, call, ticket(given))
        assert reason(error) is ResultReason.NOT_AUTHORISED


def test_nobody_can_be_the_server_itself() -> None:
    rule = IdentityRule("cn", {"impostor": SYSTEM.name})
    issued = Authority.create("ca", "ecdsa-p256", START).issue("impostor", Purpose.CLIENT, START)
    with pytest.raises(NoIdentity):
        rule.identify(issued.certificate.public_bytes(Encoding.DER))
