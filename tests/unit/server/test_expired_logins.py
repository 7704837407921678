"""A user or credential whose Deactivation Date has passed opens nothing, whatever was stored.

The store keeps the state of the last write; nobody writes when a date passes.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.revocation_status import PeerCertificate
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_server.identity.identity import Identity
from laboratory import START, Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.credentials import (
    Credential,
    Device,
    HashedPassword,
    OneTimePassword,
    TicketCredential,
    UsernameAndPassword,
)
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateUserRequest,
    DeviceCredential,
    HashedPasswordCredential,
    OTPCredential,
    PasswordCredential,
)
from kmipkit.model.payloads.session import LoginRequest
from kmipkit.spec.enums import (
    CertificateType,
    CredentialType,
    HashingAlgorithm,
    NameType,
    Operation,
    OTPAlgorithm,
    ResultReason,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, V3_0

END = START + timedelta(days=30)
SEED = bytes(range(20))
CERTIFICATE = (
    Authority.create("ca", "ecdsa-p256", START)
    .issue("old name", Purpose.CLIENT, START)
    .certificate.public_bytes(Encoding.DER)
)


def hashes(name: str, secret: str) -> tuple[bytes, bytes]:
    first, second = (name + secret).encode(), (secret + name).encode()
    return hashlib.sha256(first).digest(), hashlib.sha256(second).digest()


def hashed(moment: Any) -> HashedPassword:
    """KMIP 2.1 §9.11."""
    first, second = hashes("array", "secret")
    stamp = (int(moment.timestamp()) * 1_000_000).to_bytes(8, "big", signed=True)
    proof = hashlib.sha256(first + stamp).digest() + second
    return HashedPassword(username="array", timestamp=moment, hashed_password=proof)


class Kind(NamedTuple):
    """A kind of credential: what is stored, and what a client shows at a time."""

    type: CredentialType
    stored: Any
    shown_type: CredentialType
    shown: Callable[[Any], Any]


KINDS = (
    Kind(
        CredentialType.PASSWORD,
        PasswordCredential(password="secret"),
        CredentialType.USERNAME_AND_PASSWORD,
        lambda _: UsernameAndPassword(username="array", password="secret"),
    ),
    Kind(
        CredentialType.DEVICE,
        DeviceCredential(device_serial_number="1", password="secret"),
        CredentialType.DEVICE,
        lambda _: Device(device_serial_number="1", password="secret"),
    ),
    Kind(
        CredentialType.HASHED_PASSWORD,
        HashedPasswordCredential(
            hashing_algorithm=HashingAlgorithm.SHA_256,
            hashed_username_password=hashes("array", "secret")[0],
            hashed_password_username=hashes("array", "secret")[1],
        ),
        CredentialType.HASHED_PASSWORD,
        hashed,
    ),
    Kind(
        CredentialType.ONE_TIME_PASSWORD,
        OTPCredential(otp_algorithm=OTPAlgorithm.TOTP, otp_seed=SEED),
        CredentialType.ONE_TIME_PASSWORD,
        lambda moment: OneTimePassword(
            username="array",
            one_time_password=TOTP(SEED, 6, SHA1(), 30).generate(int(moment.timestamp())).decode(),
        ),
    ),
)

DATES = (
    pytest.param([(Tag.DEACTIVATION_DATE, END)], id="never activated"),
    pytest.param(
        [(Tag.ACTIVATION_DATE, START), (Tag.DEACTIVATION_DATE, END)], id="active from the start"
    ),
    pytest.param(
        [(Tag.ACTIVATION_DATE, END - timedelta(days=1)), (Tag.DEACTIVATION_DATE, END)],
        id="activated later",
    ),
)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def administer(laboratory: Laboratory, operation: Operation, request: Any) -> str:
    call = calls.raw(operation, request)
    return str(laboratory.ask(call, V3_0, "administrator").unique_identifier)


def credential(laboratory: Laboratory, kind: CredentialType, stored: Any, dates: Any) -> str:
    request = CreateCredentialRequest(
        credential_type=kind, attributes=Attributes.of(*dates), credential=stored
    )
    return administer(laboratory, Operation.CREATE_CREDENTIAL, request)


def user(laboratory: Laboratory, link: str, dates: Any) -> str:
    name = Name(name_value="array", name_type=NameType.UNINTERPRETED_TEXT_STRING)
    attributes = Attributes.of((Tag.NAME, name), (Tag.CREDENTIAL_LINK, [link]), *dates)
    return administer(laboratory, Operation.CREATE_USER, CreateUserRequest(attributes=attributes))


def reason(laboratory: Laboratory, shown: Credential) -> ResultReason | None:
    """Why a request with this credential is refused; None if it is served."""
    call = calls.locate(None, None, None, None, None, None)
    request = messages.request(V2_1, [call], shown)
    [result] = messages.results([call], laboratory.send(request))
    return result.reason if isinstance(result, OperationFailed) else None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type.name)
@pytest.mark.parametrize("dates", DATES)
@pytest.mark.parametrize("dated", ["user", "credential"])
def test_what_has_passed_its_deactivation_date_opens_nothing(
    laboratory: Laboratory, kind: Kind, dates: Any, dated: str
) -> None:
    link = credential(laboratory, kind.type, kind.stored, dates if dated == "credential" else ())
    user(laboratory, link, dates if dated == "user" else ())

    def show() -> Credential:
        value = kind.shown(laboratory.now)
        return Credential(credential_type=kind.shown_type, credential_value=value)

    laboratory.now = END - timedelta(seconds=60)
    assert reason(laboratory, show()) is None
    laboratory.now = END
    assert reason(laboratory, show()) is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL


@pytest.mark.parametrize("dates", DATES)
@pytest.mark.parametrize("dated", ["user", "credential"])
def test_a_certificate_of_the_past_leads_to_no_user(
    laboratory: Laboratory, dates: Any, dated: str
) -> None:
    value = Certificate(certificate_type=CertificateType.X_509, certificate_value=CERTIFICATE)
    link = credential(
        laboratory, CredentialType.CERTIFICATE, value, dates if dated == "credential" else ()
    )
    user(laboratory, link, dates if dated == "user" else ())
    peer = Identity("old name", certificate=PeerCertificate.parse(CERTIFICATE))
    laboratory.now = END - timedelta(seconds=60)
    assert trio.run(laboratory.dispatcher.admit, peer).name == "user:array"
    laboratory.now = END
    assert trio.run(laboratory.dispatcher.admit, peer).name == "old name"


@pytest.mark.parametrize("dates", DATES)
def test_a_ticket_ends_with_its_user(laboratory: Laboratory, dates: Any) -> None:
    """Or whoever logs in on the last day stays in."""
    stored = PasswordCredential(password="secret")
    user(laboratory, credential(laboratory, CredentialType.PASSWORD, stored, ()), dates)
    laboratory.now = END - timedelta(seconds=60)
    call = calls.raw(Operation.LOGIN, LoginRequest())
    shown = Credential(
        credential_type=CredentialType.USERNAME_AND_PASSWORD,
        credential_value=UsernameAndPassword(username="array", password="secret"),
    )
    [answer] = messages.results([call], laboratory.send(messages.request(V2_1, [call], shown)))
    ticket = Credential(
        credential_type=CredentialType.TICKET,
        credential_value=TicketCredential(ticket=answer.ticket),
    )
    assert reason(laboratory, ticket) is None
    laboratory.now = END
    assert reason(laboratory, ticket) is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL
