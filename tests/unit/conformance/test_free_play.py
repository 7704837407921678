"""Our own clients keep every rule, whatever the tester does to them; and what free play promises."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from broken_clients import CREATE, QUERY, about
from kmipkit_client import AsyncClient, Client, material
from kmipkit_conformance.clients.client_profiles import ProfileStanding, judge_session
from kmipkit_conformance.clients.observed import Session
from kmipkit_conformance.clients.plan import OLDER_CONNECTIONS
from kmipkit_conformance.clients.rule import Standing, judge
from kmipkit_conformance.clients.table import PENDING, PROVOCATION_KEYS, RULES
from kmipkit_conformance.clients.transport_rules import IMPOSTOR, OLDER
from watched_clients import Ask, Watching, find, item, raw_client, verdicts, watching

from kmipkit.errors import KMIPError
from kmipkit.model.attributes import AlternativeName, CryptographicParameters
from kmipkit.spec.enums import (
    AlternativeNameType,
    BlockCipherMode,
    EndpointRole,
    Operation,
    PaddingMethod,
    QueryFunction,
    ResultStatus,
    RevocationReasonCode,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_3, V1_4, V2_0, V2_1, V3_0, Version
from kmipkit.testing import shared_pki
from kmipkit.ttlv import binary

CBC = CryptographicParameters(
    block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5
)
USAGE = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
BARCODE = AlternativeName(
    alternative_name_value="A00001L6",
    alternative_name_type=AlternativeNameType.UNINTERPRETED_TEXT_STRING,
)
CEASED = RevocationReasonCode.CESSATION_OF_OPERATION


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    with watching(tmp_path_factory.mktemp("impostor")) as found:
        yield found


def files() -> dict[str, Any]:
    pair = shared_pki().client("device")
    return {"ca": shared_pki().ca, "cert": pair.cert, "key": pair.key}


def broken(session: Session) -> dict[str, list[str]]:
    found = {key: verdict.broken for key, verdict in verdicts(session).items()}
    return {key: [f"{s.where}: {s.problem}" for s in seen] for key, seen in found.items() if seen}


def kept(session: Session) -> set[str]:
    found = verdicts(session)
    return {key for key, verdict in found.items() if verdict.standing is Standing.KEPT}


def whole_life(kms: Client, version: Version) -> None:
    """What programs do with keys."""
    kms.query(QueryFunction.QUERY_OPERATIONS, QueryFunction.QUERY_OBJECTS)
    name = f"key {uuid.uuid4()}"
    key = kms.create(name=name, attributes={"x-Owner": "me"})
    kms.add_attribute(key, "x-Purpose", "test")
    kms.get_attributes(key, "State")
    kms.get_attribute_list(key)
    kms.locate(name=name)
    value = kms.get(key)
    kms.register(value, name=f"copy of {name}", usage=USAGE)
    pair = kms.create_key_pair()
    kms.activate(key)
    if version >= V1_2:
        sealed = kms.encrypt(key, b"data", parameters=CBC, iv=bytes(16))
        assert kms.decrypt(key, sealed, parameters=CBC, iv=bytes(16)) == b"data"
    kms.check(key)
    newer = kms.re_key(key)
    with kms.batch() as batch:
        made = batch.create(name=f"another {name}")
        batch.activate(made)
    kms.revoke(key, CEASED)
    kms.revoke(newer, CEASED)
    for identifier in (key, newer, *pair):
        kms.destroy(identifier)


@pytest.mark.parametrize("version", [V1_0, V1_2, V1_3, V1_4, V2_0, V2_1, V3_0], ids=str)
def test_our_client_keeps_every_rule_in_every_version(tester: Watching, version: Version) -> None:
    with tester.play() as play:
        port = play.listener.getsockname()[1]
        with Client("127.0.0.1", port, version=version, **files()) as kms:
            whole_life(kms, version)
    assert broken(play.session) == {}
    assert {"payload-fields", "active-not-destroyed", "client-certificate"} <= kept(play.session)
    assert version == V3_0 or {"batch-count", "batch-item-ids"} <= kept(play.session)


def use(kms: Client) -> None:
    with suppress(KMIPError):
        kms.query(QueryFunction.QUERY_OPERATIONS)
        key = kms.create()
        kms.activate(key)
        material(kms.get(key))
    with suppress(KMIPError):
        with kms.batch() as batch:
            made = batch.create()
            batch.activate(made)
        kms.get(made.value)
    with suppress(KMIPError):
        kms.locate(attributes={"x-Owner": "me"})


@pytest.mark.parametrize("provocation", PROVOCATION_KEYS)
def test_our_client_keeps_every_rule_under_provocation(tester: Watching, provocation: str) -> None:
    """It uses no object that it has not got, and repeats nothing that makes objects."""
    with tester.play([provocation]) as play:
        port = play.listener.getsockname()[1]
        with suppress(KMIPError), Client("127.0.0.1", port, **files()) as kms:
            use(kms)
    assert broken(play.session) == {}
    rule = {OLDER: "backward-compatible", IMPOSTOR: "server-certificate-verified"}
    needs_more = provocation == PENDING  # which our client does not ask for
    assert needs_more or rule.get(provocation, f"after-{provocation}") in kept(play.session)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_our_asynchronous_client_keeps_every_rule(tester: Watching, backend: str) -> None:
    async def live(port: int) -> None:
        async with AsyncClient("127.0.0.1", port, **files()) as kms:
            for _ in range(8):
                with suppress(KMIPError):
                    key = await kms.create()
                    await kms.activate(key)
                    await kms.get(key)
                    await kms.locate(attributes={"x-Owner": "me"})

    with tester.play([key for key in PROVOCATION_KEYS if key != IMPOSTOR]) as play:
        anyio.run(live, play.listener.getsockname()[1], backend=backend)
    assert broken(play.session) == {}
    assert {"after-refusal", "after-undone", "after-lost-answer"} <= kept(play.session)


def test_one_run_of_a_device_gets_one_provocation_after_the_other(tester: Watching) -> None:
    """A device cannot be started again for each of them."""
    keys = [key for key in PROVOCATION_KEYS if key != PENDING]
    with tester.play(keys, gap=3) as play:
        port = play.listener.getsockname()[1]
        for _ in range(30):
            with suppress(KMIPError), Client("127.0.0.1", port, **files()) as kms:
                use(kms)
    assert broken(play.session) == {}
    assert play.plan.remaining == []
    provoked = [each.provoked for each in play.session.exchanges]
    for key in set(keys) - {OLDER, IMPOSTOR}:
        assert provoked.count(key) == 1
    assert sum(each.is_impostor for each in play.session.connections) == 1


def test_a_client_that_polls_gets_the_result(tester: Watching) -> None:
    with raw_client(tester, [PENDING]) as client:
        answer = client.ask(CREATE, header=(item(Tag.ASYNCHRONOUS_INDICATOR, True),))
        value = find(answer, Tag.ASYNCHRONOUS_CORRELATION_VALUE)
        while find(answer, Tag.RESULT_STATUS) == ResultStatus.OPERATION_PENDING:
            answer = client.ask(
                Ask(Operation.POLL, (item(Tag.ASYNCHRONOUS_CORRELATION_VALUE, value),))
            )
        key = find(answer, Tag.UNIQUE_IDENTIFIER)
        assert find(client.ask(about(Operation.GET, key)), Tag.KEY_MATERIAL)
    assert {"poll-value", "pending-polled"} <= kept(client.play.session)


def test_credentials_of_any_user_are_accepted(tester: Watching) -> None:
    """The tester does not know the users of the client, and must not fail it for that."""
    credential = (
        item(Tag.CREDENTIAL_TYPE, 1, item(Tag.OPERATION, Operation.GET).type),
        item(Tag.CREDENTIAL_VALUE, (item(Tag.USERNAME, "u"), item(Tag.PASSWORD, "p"))),
    )
    header = item(Tag.AUTHENTICATION, (item(Tag.CREDENTIAL, credential),))
    with raw_client(tester) as client:
        assert find(client.ask(QUERY, header=(header,)), Tag.RESULT_STATUS) == 0
    assert broken(client.play.session) == {}


def test_the_older_server_ends_after_some_connections(tester: Watching) -> None:
    """A client that cannot fall back is judged by the other rules all the same."""
    with raw_client(tester, [OLDER]) as client:
        for _ in range(OLDER_CONNECTIONS):
            client.open()
            assert find(client.ask(QUERY, version=V2_1), Tag.RESULT_STATUS) == 1
        client.open()
        assert find(client.ask(QUERY, version=V2_1), Tag.RESULT_STATUS) == 0
    assert list(broken(client.play.session)) == ["backward-compatible"]


def test_a_client_of_the_oldest_version_has_no_older_server(tester: Watching) -> None:
    with raw_client(tester, [OLDER]) as client:
        assert find(client.ask(QUERY, version=V2_0), Tag.RESULT_STATUS) == 0
    assert broken(client.play.session) == {}


def test_bytes_that_are_no_message_end_their_connection_only(tester: Watching) -> None:
    """The client is judged for them, and goes on to be judged."""
    with raw_client(tester) as client:
        assert client.send(b"GET / HTTP/1.1\r\n\r\n") is None
        header = item(Tag.REQUEST_HEADER, (item(Tag.BATCH_COUNT, 1),))
        client.send(binary.encode(item(Tag.REQUEST_MESSAGE, (header,))))
        client.open()
        assert find(client.ask(QUERY), Tag.RESULT_STATUS) == 0
    assert {"well-formed", "protocol-version"} <= set(broken(client.play.session))
    assert "batch-count" in kept(client.play.session)


def test_set_endpoint_role_is_refused(tester: Watching) -> None:

    ask = Ask(Operation.SET_ENDPOINT_ROLE, (item(Tag.ENDPOINT_ROLE, EndpointRole.SERVER),))
    with raw_client(tester) as client:
        assert find(client.ask(ask, version=V2_1), Tag.RESULT_STATUS) == 1
        assert find(client.ask(QUERY, version=V2_1), Tag.RESULT_STATUS) == 0


def test_profiles_need_their_operations_and_no_broken_rule(tester: Watching) -> None:
    with tester.play() as play:
        port = play.listener.getsockname()[1]
        with Client("127.0.0.1", port, version=V2_1, **files()) as kms:
            whole_life(kms, V2_1)
    found = standings(play.session)
    assert found["Baseline Client"] is ProfileStanding.SHOWN
    assert found["Basic Cryptographic Client"] is ProfileStanding.SHOWN
    assert found["RNG Cryptographic Client"] is ProfileStanding.NOT_SHOWN
    assert found["HTTPS Client"] is ProfileStanding.NOT_TESTABLE
    with raw_client(tester) as client:
        client.ask(QUERY, count=2)
    assert set(standings(client.play.session).values()) == {
        ProfileStanding.FAILED,
        ProfileStanding.NOT_TESTABLE,
    }


def test_a_tape_library_does_not_locate_by_barcode(tester: Watching) -> None:
    """Profiles 2.1 §5.12.3: a barcode is not unique."""
    with tester.play() as play:
        port = play.listener.getsockname()[1]
        with Client("127.0.0.1", port, version=V2_1, **files()) as kms:
            whole_life(kms, V2_1)
            kms.locate(attributes={"Alternative Name": BARCODE})
    found = standings(play.session)
    assert found["Tape Library Client"] is ProfileStanding.FAILED
    assert found["Baseline Client"] is ProfileStanding.SHOWN


def standings(session: Session) -> dict[str, ProfileStanding]:
    judged = judge_session(session, judge(session, RULES))
    return {each.profile.title: each.standing for each in judged}
