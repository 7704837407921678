"""From one tenant into another: by names, tickets, users, values of unfinished work, and shared room."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Purpose, distinguished_name
from kmipkit_certs.keypairs import generate
from kmipkit_certs.revocation_status import PeerCertificate
from kmipkit_client import OperationFailed, calls, crypto_calls, messages, opaque_object
from kmipkit_server.engine import asynchronous
from kmipkit_server.engine.computing import Computer, Task
from kmipkit_server.engine.hooks import Permissions, Quotas
from kmipkit_server.engine.notifications import Notifications
from kmipkit_server.engine.seam import Seam
from kmipkit_server.engine.unfinished import end_unfinished
from kmipkit_server.identity import tickets
from kmipkit_server.identity.certificate import IdentityRule, ManyTenants, NoIdentity
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.shares import require_share
from kmipkit_server.metrics.operations import OperationCounters
from kmipkit_server.operations.notify import NotificationHook, RequestSource
from kmipkit_server.operations.rotation import Rotation
from kmipkit_server.store.base import Record, Transaction
from kmipkit_server.store.owners import owner_name
from kmipkit_server.store.parts import part_of
from kmipkit_server.store.places import Places as TaskPlaces
from kmipkit_server.tenants.tenant import TenantLimits
from laboratory import Laboratory, reasons
from tenancy import ADMINISTRATOR, NOW, authority, laboratory_of, member, set_tenants, tenant

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.credentials import (
    Credential,
    Ticket,
    TicketCredential,
    UsernameAndPassword,
)
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateUserRequest,
    PasswordCredential,
)
from kmipkit.model.payloads.asynchronous import CancelRequest, PollRequest
from kmipkit.model.payloads.certify import CertifyRequest, ReProvisionRequest, ValidateRequest
from kmipkit.model.payloads.register import ImportRequest
from kmipkit.model.payloads.session import LoginRequest, LogoutRequest
from kmipkit.places import Full, Places
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CertificateType,
    CredentialType,
    CryptographicAlgorithm,
    NameType,
    ObjectType,
    Operation,
    RecommendedCurve,
    ResultReason,
    State,
    TicketType,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, V3_0, Version

_DER = Encoding.DER
AES = CryptographicAlgorithm.AES
ACME, GLOBEX, NOBODY = member("acme"), member("globex"), member("")
CREATE = calls.create(AES, 128, Mask.ENCRYPT, None, None)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    with closing(laboratory_of(tmp_path / "data", "acme", "globex")) as laboratory:
        yield laboratory


def refused(laboratory: Laboratory, call: Any, **options: Any) -> tuple[ResultReason | None, str]:
    """Why a call is refused."""
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(call, **options)
    return error.value.reason, str(error.value)


def with_credential(
    laboratory: Laboratory,
    call: Any,
    credential: Credential,
    identity: Identity,
    version: Version = V2_1,
) -> Any:
    request = messages.request(version, [call], credential)
    [result] = messages.results([call], laboratory.send(request, version, identity))
    if isinstance(result, OperationFailed):
        raise result
    return result


def named(name: str, *further: Any) -> Attributes:
    value = Name(name_value=name, name_type=NameType.UNINTERPRETED_TEXT_STRING)
    return Attributes.of((Tag.NAME, value), *further)


def add_user(laboratory: Laboratory, name: str, kind: CredentialType, value: Any, of: str) -> None:
    """A user of a tenant, made by an administrator of it."""
    administrator = member(of, ADMINISTRATOR)
    request = CreateCredentialRequest(
        credential_type=kind, attributes=Attributes(), credential=value
    )
    made = laboratory.ask(
        calls.raw(Operation.CREATE_CREDENTIAL, request), version=V3_0, identity=administrator
    )
    attributes = named(name, (Tag.CREDENTIAL_LINK, made.unique_identifier))
    laboratory.ask(
        calls.raw(Operation.CREATE_USER, CreateUserRequest(attributes=attributes)),
        version=V3_0,
        identity=administrator,
    )


def password(name: str, secret: str) -> Credential:
    return Credential(
        credential_type=CredentialType.USERNAME_AND_PASSWORD,
        credential_value=UsernameAndPassword(username=name, password=secret),
    )


def ticket(value: bytes) -> Credential:
    inner = Ticket(ticket_type=TicketType.LOGIN, ticket_value=value)
    return Credential(
        credential_type=CredentialType.TICKET, credential_value=TicketCredential(ticket=inner)
    )


# --- names -----------------------------------------------------------------------------------------


def test_the_same_account_and_identifier_are_two(laboratory: Laboratory) -> None:
    """Also when the same request comes again and again, and its answer is prepared."""
    for client, content in ((ACME, b"acme"), (GLOBEX, b"globex"), (NOBODY, b"nobody")):
        request = ImportRequest(
            unique_identifier="disk-1",
            object_type=ObjectType.OPAQUE_OBJECT,
            attributes=Attributes(),
            object=opaque_object(content),
        )
        laboratory.ask(calls.raw(Operation.IMPORT, request), identity=client)
    for _ in range(4):
        for client, content in ((ACME, b"acme"), (GLOBEX, b"globex"), (NOBODY, b"nobody")):
            found = laboratory.ask(calls.get("disk-1", None, None, None), identity=client)
            assert found.opaque_data_value == content
    laboratory.ask(calls.destroy("disk-1"), identity=ACME)
    assert laboratory.ask(calls.get("disk-1", None, None, None), identity=GLOBEX)


@pytest.mark.parametrize("identity", [ACME, NOBODY], ids=["tenant", "no tenant"])
def test_no_client_chooses_an_identifier_as_the_store_has_it(
    laboratory: Laboratory, identity: Identity
) -> None:
    request = ImportRequest(
        unique_identifier="tenant:globex:disk-1",
        object_type=ObjectType.OPAQUE_OBJECT,
        attributes=Attributes(),
        object=opaque_object(b"x"),
    )
    reason, text = refused(laboratory, calls.raw(Operation.IMPORT, request), identity=identity)
    assert reason is ResultReason.INVALID_FIELD
    assert "reserved" in text


@pytest.mark.parametrize("name", ["tenant:acme:db01", "tenant:acme:", "tenant:"])
@pytest.mark.parametrize("source", ["cn", "accounts"])
def test_no_certificate_names_an_account_of_a_tenant(name: str, source: str) -> None:
    subject = distinguished_name(name if source == "cn" else "x")
    key = generate().public_key()
    certificate = authority("").certify(subject, key, Purpose.CLIENT, NOW, 30)
    rule = IdentityRule("cn", {} if source == "cn" else {"x": name})
    with pytest.raises(NoIdentity):
        rule.identify(certificate.public_bytes(encoding=_DER))


def test_no_user_has_the_account_of_a_tenant(laboratory: Laboratory) -> None:
    """Whoever may make users without a tenant would have the keys of all tenants."""
    key = laboratory.ask(CREATE, identity=ACME)
    secret = PasswordCredential(password="right")
    set_tenants(laboratory, tenant("acme"), tenant("globex"))
    laboratory.dispatcher.accounts.administrators = frozenset({ADMINISTRATOR})
    add_user(laboratory, "tenant:acme:db01", CredentialType.PASSWORD, secret, "")
    credential = password("tenant:acme:db01", "right")
    with pytest.raises(OperationFailed) as error:
        with_credential(laboratory, calls.get(key, None, None, None), credential, NOBODY)
    assert error.value.reason is ResultReason.OBJECT_NOT_FOUND
    made = with_credential(laboratory, CREATE, credential, NOBODY)
    record = laboratory.record(made)
    assert record is not None
    assert record.owner == "user:tenant:acme:db01"


def test_nor_has_a_user_of_an_old_store_whose_account_is_its_name() -> None:
    from kmipkit_server.identity.directory import account_of

    old = Record(
        "u", "", ObjectType.USER, State.PRE_ACTIVE, named("tenant:acme:db01"), material=b""
    )
    assert account_of(old).tenant == ""
    assert account_of(old).name == "user:tenant:acme:db01"


def test_a_certificate_of_two_tenants_is_refused_and_the_client_learns_no_name(
    laboratory: Laboratory,
) -> None:
    set_tenants(laboratory, tenant("acme"), tenant("globex", accounts=("db*",)))
    with pytest.raises(ManyTenants, match=r"several tenants \(acme, globex\)") as refusal:
        trio.run(laboratory.dispatcher.admit, ACME)
    assert "acme" not in refusal.value.answer


def test_a_client_of_a_removed_tenant_is_nobody(laboratory: Laboratory) -> None:
    """Its certificate, given by Re-Provision, must not become that of another account."""
    request = calls.raw(Operation.RE_PROVISION, ReProvisionRequest())
    made = laboratory.ask(request, identity=ACME)
    row = next(each for each in laboratory.state.provisioned.values() if each.identifier)
    assert row.account == "tenant:acme:db01"
    assert made.unique_identifier
    set_tenants(laboratory, tenant("globex"))
    with pytest.raises(NoIdentity, match="was removed"):
        trio.run(laboratory.dispatcher.admit, ACME)


# --- users and tickets -----------------------------------------------------------------------------


def test_a_user_logs_in_on_connections_of_its_tenant_only(laboratory: Laboratory) -> None:
    add_user(
        laboratory, "bob", CredentialType.PASSWORD, PasswordCredential(password="right"), "acme"
    )
    made = with_credential(laboratory, CREATE, password("bob", "right"), ACME)
    record = laboratory.record(f"tenant:acme:{made}")
    assert record is not None
    assert record.owner == "tenant:acme:user:bob"
    texts = set()
    for client, name in ((GLOBEX, "bob"), (NOBODY, "bob"), (GLOBEX, "nobody")):
        with pytest.raises(OperationFailed) as error:
            with_credential(laboratory, CREATE, password(name, "right"), client)
        texts.add(str(error.value))
    assert len(texts) == 1


def test_a_certificate_of_another_tenant_as_a_credential_makes_nobody_a_user(
    laboratory: Laboratory,
) -> None:
    """An administrator could otherwise have clients of others work in his tenant."""
    value = Certificate(certificate_type=CertificateType.X_509, certificate_value=ACME.presented)
    add_user(laboratory, "trap", CredentialType.CERTIFICATE, value, "globex")
    made = laboratory.ask(CREATE, identity=ACME)
    record = laboratory.record(f"tenant:acme:{made}")
    assert record is not None
    assert record.owner == "tenant:acme:db01"


def test_guesses_in_one_tenant_delay_nobody_in_another(laboratory: Laboratory) -> None:
    """Tenants behind one address would otherwise notice each other."""
    guesses = laboratory.dispatcher.accounts.guesses
    for of in ("acme", "globex"):
        secret = PasswordCredential(password="right")
        add_user(laboratory, "bob", CredentialType.PASSWORD, secret, of)
    for _ in range(3):
        with pytest.raises(OperationFailed):
            with_credential(laboratory, CREATE, password("bob", "wrong"), ACME)
    waiting = {key.user or key.address for key in guesses._failures}
    assert waiting == {"tenant:acme:bob", "tenant:acme:192.0.2.1"}
    assert with_credential(laboratory, CREATE, password("bob", "right"), GLOBEX)


def test_a_ticket_is_worth_nothing_in_another_tenant_and_stays_whole(
    laboratory: Laboratory,
) -> None:
    login = calls.raw(Operation.LOGIN, LoginRequest(request_count=1))
    value = laboratory.ask(login, identity=ACME).ticket.ticket_value
    answers = set()
    for shown in (value, bytes(32)):
        for client in (GLOBEX, NOBODY):
            with pytest.raises(OperationFailed) as error:
                with_credential(laboratory, CREATE, ticket(shown), client)
            answers.add(str(error.value))
            logout = LogoutRequest(ticket=ticket(shown).credential_value.ticket)  # type: ignore[union-attr]
            answers.add(
                refused(laboratory, calls.raw(Operation.LOGOUT, logout), identity=client)[1]
            )
    assert len(answers) == 2, "one for the credential, one for Logout"
    assert with_credential(laboratory, CREATE, ticket(value), member("acme", "db02"))


@pytest.mark.parametrize("operation", [Operation.POLL, Operation.CANCEL])
def test_values_of_unfinished_work_say_nothing_in_another_tenant(
    laboratory: Laboratory, operation: Operation
) -> None:
    laboratory.dispatcher.asynchronous_delay = timedelta(hours=1)
    request = messages.request(V2_1, [CREATE])
    header = request.request_header.replace(asynchronous_indicator=AsynchronousIndicator.MANDATORY)
    pending = laboratory.send(request.replace(request_header=header), V2_1, ACME).batch_items[0]
    value = pending.asynchronous_correlation_value
    assert value is not None
    payload = {Operation.POLL: PollRequest, Operation.CANCEL: CancelRequest}[operation]
    answers = [
        laboratory.send(
            messages.request(
                V2_1, [calls.raw(operation, payload(asynchronous_correlation_value=shown))]
            ),
            V2_1,
            GLOBEX,
        ).batch_items[0]
        for shown in (value, bytes(16))
    ]
    assert str(answers[0]).replace(repr(value), "") == str(answers[1]).replace(repr(bytes(16)), "")
    assert len(laboratory.entries(asynchronous.WAITING)) == 1


# --- administrators, authorities --------------------------------------------------------------------


def test_administrators_administer_their_tenant_only(laboratory: Laboratory) -> None:
    request = calls.raw(Operation.CREATE_USER, CreateUserRequest(attributes=named("bob")))
    for of in ("acme", "globex"):
        laboratory.ask(request, version=V3_0, identity=member(of, ADMINISTRATOR))
    set_tenants(laboratory, tenant("acme", administrators=("db01",)), tenant("globex"))
    reason, _ = refused(laboratory, request, version=V3_0, identity=member("acme", ADMINISTRATOR))
    assert reason is ResultReason.PERMISSION_DENIED


def certify(laboratory: Laboratory, client: Identity) -> x509.Certificate:
    pair = crypto_calls.create_key_pair(
        CryptographicAlgorithm.ECDSA, None, RecommendedCurve.P_256, (Mask.SIGN, Mask.VERIFY),
        (None, None), None,
    )  # fmt: skip
    _, public = laboratory.ask(pair, identity=client)
    made = laboratory.ask(
        calls.raw(Operation.CERTIFY, CertifyRequest(unique_identifier=public)), identity=client
    )
    value = laboratory.ask(calls.get(made.unique_identifier, None, None, None), identity=client)
    return x509.load_der_x509_certificate(value.certificate_value)


def validity(laboratory: Laboratory, client: Identity, der: bytes) -> ValidityIndicator:
    certificate = Certificate(certificate_type=CertificateType.X_509, certificate_value=der)
    request = ValidateRequest(certificates=(certificate,))
    answer = laboratory.ask(calls.raw(Operation.VALIDATE, request), identity=client)
    found: ValidityIndicator = answer.validity_indicator
    return found


def test_certificates_of_one_tenant_are_those_of_strangers_in_another(
    laboratory: Laboratory,
) -> None:
    """Both by Certify and by the authorities of clients that the server accepts."""
    by_certify = certify(laboratory, ACME).public_bytes(_DER)
    anchors = tuple(
        authority(each).certificate.public_bytes(_DER) for each in ("acme", "globex", "")
    )
    server = laboratory.dispatcher.server
    laboratory.dispatcher.server = replace(
        server, settings=replace(server.settings, anchors=anchors)
    )
    valid, unknown = ValidityIndicator.VALID, ValidityIndicator.UNKNOWN
    for der, known in ((by_certify, "acme"), (ACME.presented, "acme"), (NOBODY.presented, None)):
        for client, of in ((ACME, "acme"), (GLOBEX, "globex"), (NOBODY, "")):
            expected = valid if known in (None, of) else unknown
            assert validity(laboratory, client, der) is expected


def test_a_key_of_a_tenant_is_rotated_there(laboratory: Laboratory) -> None:
    attributes = {"Rotate Automatic": True, "Rotate Interval": 3600}
    key = laboratory.ask(calls.create(AES, 128, Mask.ENCRYPT, "disk", attributes), identity=ACME)
    laboratory.pass_time(hours=2)

    async def work() -> None:
        async with laboratory.serving():
            await Rotation(laboratory.dispatcher).rotate()

    trio.run(work)
    located = laboratory.ask(calls.locate("disk", None, None, None, None, None), identity=ACME)
    assert located.ids != (key,)
    assert len(located.ids) == 1


def test_a_client_that_replaces_its_certificate_stays_in_its_tenant(
    laboratory: Laboratory,
) -> None:
    """The authority of Re-Provision is none that the tenant claims."""
    made = laboratory.ask(calls.raw(Operation.RE_PROVISION, ReProvisionRequest()), identity=ACME)
    row = next(each for each in laboratory.state.provisioned.values() if each.identifier)
    value = laboratory.ask(calls.get(row.identifier, None, None, None), identity=ACME)
    der = value.certificate_value
    renewed = Identity("whatever", certificate=PeerCertificate.parse(der), presented=der)
    assert laboratory.ask(calls.get_attributes(made.unique_identifier, ()), identity=renewed)
    key = laboratory.ask(CREATE, identity=renewed)
    record = laboratory.record(f"tenant:acme:{key}")
    assert record is not None
    assert record.owner == "tenant:acme:db01"


def test_a_client_cannot_bring_a_certificate_of_another_tenant(laboratory: Laboratory) -> None:
    server = laboratory.dispatcher.server
    rule = IdentityRule()
    laboratory.dispatcher.server = replace(server, account_of=rule.account_of)
    value = Certificate(certificate_type=CertificateType.X_509, certificate_value=GLOBEX.presented)
    request = calls.raw(Operation.RE_PROVISION, ReProvisionRequest(certificate=value))
    reason, _ = refused(laboratory, request, identity=ACME)
    assert reason is ResultReason.PERMISSION_DENIED


def test_notifications_and_metrics_know_the_tenant(laboratory: Laboratory) -> None:
    queue = Notifications(frozenset({"tenant:acme:db01"}))
    counters = OperationCounters()
    laboratory.dispatcher.seam = Seam((Permissions(), NotificationHook(queue), counters))
    for client in (ACME, GLOBEX, NOBODY):
        made = laboratory.ask(CREATE, identity=client)
    [notification] = queue.take("tenant:acme:db01")
    source = RequestSource(laboratory.store, queue, lambda: laboratory.now)
    data = trio.run(source.message, "tenant:acme:db01", notification)
    assert data is not None
    assert notification.identifier.encode() in data
    assert b"tenant:" not in data
    assert trio.run(source.message, "tenant:globex:db01", notification) is None
    assert trio.run(source.message, "db01", notification) is None
    assert made != notification.identifier
    assert {each.tenant: each.number for each in counters.counts()} == {
        "acme": 1, "globex": 1, "": 1
    }  # fmt: skip


# --- shared room -----------------------------------------------------------------------------------


def test_a_tenant_has_its_quota_however_many_accounts_it_has(laboratory: Laboratory) -> None:
    limits = TenantLimits(objects=3, objects_per_account=2)
    set_tenants(laboratory, tenant("acme", limits), tenant("globex"))
    laboratory.dispatcher.seam = Seam((Permissions(), Quotas()))
    wanted = [member("acme", f"db{number:02}") for number in (1, 1, 1, 2, 3)]
    results = [reasons(laboratory.batch(CREATE, identity=each))[0] for each in wanted]
    assert results == ["", "", "SERVER_LIMIT_EXCEEDED", "", "SERVER_LIMIT_EXCEEDED"]
    _, text = refused(laboratory, CREATE, identity=member("acme", "db03"))
    assert "3 objects of one tenant at most" in text
    for _ in range(4):
        laboratory.ask(CREATE, identity=GLOBEX)


def test_a_tenant_has_its_quota_of_bytes(laboratory: Laboratory) -> None:
    set_tenants(laboratory, tenant("acme", TenantLimits(bytes=2000)), tenant("globex"))
    laboratory.dispatcher.seam = Seam((Permissions(), Quotas()))
    blob = calls.register(opaque_object(bytes(3000)), None, None, None)
    _, text = refused(laboratory, blob, identity=ACME)
    assert "2000 bytes of one tenant at most" in text
    assert laboratory.ask(blob, identity=GLOBEX)


def test_a_tenant_has_half_of_what_is_in_memory_at_most() -> None:
    """Tickets, asynchronous requests and operations in several parts."""
    holders = [owner_name("acme", f"db{number}") for number in range(8)]
    with pytest.raises(OperationError, match="8 tickets of one tenant"):
        require_share("tickets", "tenant:acme:db9", holders, 4, 16)
    require_share("tickets", "tenant:globex:db9", holders, 4, 16)
    require_share("tickets", "db9", holders, 4, 16)


class _Connection:
    """A connection that has been silent, or not."""

    def __init__(self, silent: float | None = None) -> None:
        self.address = "192.0.2.1"
        self.is_authenticated = True
        self.silent_since = silent


def test_a_tenant_has_its_share_of_connections() -> None:
    places: Places[_Connection] = Places(9, 9, 9, lambda: 100.0, lambda *_: None)
    mine = [_Connection() for _ in range(3)]
    for number, connection in enumerate(mine[:2]):
        places.enter(connection)
        places.authenticated(connection, f"tenant:acme:db{number}", 9, "acme", 2)
    places.enter(mine[2])
    with pytest.raises(Full, match="2 connections of the tenant 'acme'"):
        places.authenticated(mine[2], "tenant:acme:db9", 9, "acme", 2)
    places.leave(mine[2])
    # A connection that is admitted again does not count twice.
    places.authenticated(mine[1], "tenant:acme:db7", 9, "acme", 2)
    places.authenticated(mine[1], "db7", 9, "", None)
    other = _Connection()
    places.enter(other)
    places.authenticated(other, "tenant:acme:db8", 9, "acme", 2)


@pytest.mark.parametrize(("most", "expected"), [(None, 3), (1, 1)])
def test_a_tenant_has_its_share_of_workers(most: int | None, expected: int) -> None:
    """With many accounts it could otherwise have all of them."""

    async def work() -> int:
        places, running, highest = TaskPlaces(4), 0, 0

        async def task(account: str) -> None:
            nonlocal running, highest
            async with places.take(account, most):
                running += 1
                highest = max(highest, running)
                await trio.sleep(1)
                running -= 1

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(task, f"tenant:acme:db{number}")
        return highest

    assert trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0)) == expected


def test_the_limit_of_workers_reaches_them(laboratory: Laboratory) -> None:
    seen: list[int | None] = []
    whole = Computer.carry_out

    class Noting(Computer):
        async def carry_out(
            self, task: Task, account: str, results: Any, most: int | None = None
        ) -> None:
            seen.append(most)
            await whole(self, task, account, results, most)

    laboratory.dispatcher.computer = Noting()
    set_tenants(laboratory, tenant("acme", TenantLimits(workers=1)), tenant("globex"))
    pair = crypto_calls.create_key_pair(
        CryptographicAlgorithm.RSA, 2048, None, (Mask.SIGN, Mask.VERIFY), (None, None), None
    )
    laboratory.ask(pair, identity=ACME)
    laboratory.ask(pair, identity=GLOBEX)
    assert seen == [1, None]


def test_unfinished_work_of_accounts_that_are_gone_ends(laboratory: Laboratory) -> None:
    login = calls.raw(Operation.LOGIN, LoginRequest())
    for client in (ACME, GLOBEX):
        laboratory.ask(login, identity=client)

    def forget(transaction: Transaction) -> None:
        end_unfinished(transaction, lambda owner: owner.startswith("tenant:acme:"))

    async def work() -> None:
        async with laboratory.serving():
            await laboratory.store.run(forget, writes=True)

    trio.run(work)
    assert [each.owner for each in laboratory.entries(tickets.VALID)] == ["tenant:globex:db01"]


def test_what_an_earlier_server_took_under_a_reserved_identifier_is_of_no_tenant(
    laboratory: Laboratory,
) -> None:
    record = Record(
        "tenant:acme:old", "me", ObjectType.OPAQUE_OBJECT, State.PRE_ACTIVE, Attributes(), b"x"
    )

    async def work() -> None:
        async with laboratory.serving():
            await laboratory.store.run(lambda store: store.insert(record), writes=True)

    trio.run(work)

    def read(reader: Any) -> list[bool]:
        views = (("acme", "old"), ("", "tenant:acme:old"))
        return [part_of(reader, of).get(identifier) is not None for of, identifier in views]

    assert trio.run(laboratory.store.run, read) == [False, True]
