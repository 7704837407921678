"""Ways around a policy: names, batches, changes, the past, and others who may do what one may not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_client.calls import raw
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.identity.identity import Identity
from kmipkit_server.operations.notify import RequestSource
from kmipkit_server.policy import versions
from kmipkit_server.policy.decision import Documents, decide
from kmipkit_server.policy.document import read_policy
from kmipkit_server.policy.question import Question
from kmipkit_server.policy.rule import Policy
from kmipkit_server.store.base import Record
from kmipkit_server.tenants.book import write_book
from kmipkit_server.tenants.tenant import Tenant
from policies import PolicyLaboratory, outcome_of

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import CryptographicParameters, Name
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import RequestMessage
from kmipkit.model.payloads.asynchronous import PollRequest
from kmipkit.model.payloads.attributes import ModifyAttributeRequest
from kmipkit.model.payloads.crypto import EncryptRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import DestroyRequest
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    BlockCipherMode,
    CryptographicAlgorithm,
    NameType,
    ObjectType,
    Operation,
    PaddingMethod,
    ResultStatus,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, V3_0

AES = CryptographicAlgorithm.AES
MASK = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
CBC = CryptographicParameters(
    block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5
)
PROTECT = '[rules.protect]\ndeny = "destroy objects"\nobjects = "prod-*"\nunless.who = "ops"\n'


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[PolicyLaboratory]:
    laboratory = PolicyLaboratory(tmp_path / "data", delay=1)
    yield laboratory
    laboratory.close()


def create(laboratory: PolicyLaboratory, name: str | None = None, identity: str = "me") -> str:
    identifier: str = laboratory.ask(calls.create(AES, 256, MASK, name, None), identity=identity)
    return identifier


def get(key: str) -> Any:
    return calls.get(key, None, None, None)


def name_of(text: str) -> Name:
    return Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def rename(key: str, text: str) -> Any:
    attribute = Attribute(Tag.NAME, name_of(text))
    return raw(
        Operation.MODIFY_ATTRIBUTE,
        ModifyAttributeRequest(unique_identifier=key, attribute=attribute),
    )


def outcomes(results: list[Any]) -> list[str]:
    return [outcome_of(each) if isinstance(each, OperationFailed) else "" for each in results]


# --- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["prod-1", "PROD-1", "Prod-1", "ｐｒｏｄ-1", "ＰＲＯＤ-１", "prod-", "prod-\n1", "ᵖrod-1"],
)
def test_no_spelling_of_a_name_escapes_a_rule_that_denies(
    laboratory: PolicyLaboratory, name: str
) -> None:
    laboratory.apply(PROTECT)
    assert laboratory.outcome(calls.destroy(create(laboratory, name))) == "rule protect"


@pytest.mark.parametrize("name", ["PUB-1", "ｐub-1", " pub-1", "xpub-1", "pub_1"])
def test_no_other_spelling_of_a_name_enters_a_rule_that_allows(
    laboratory: PolicyLaboratory, name: str
) -> None:
    """Whoever gave a key such a name did not mean to share it."""
    laboratory.apply('[rules.share]\nwho = "guest"\nallow = "Get"\nobjects = "pub-*"\n')
    assert laboratory.outcome(get(create(laboratory, "pub-1")), "guest") == ""
    assert laboratory.outcome(get(create(laboratory, name)), "guest") == "PERMISSION_DENIED"


def test_one_of_several_names_is_enough_to_be_protected(laboratory: PolicyLaboratory) -> None:
    laboratory.apply(PROTECT)
    key = create(laboratory, "harmless")
    laboratory.ask(calls.add_attribute(key, "Name", name_of("prod-7")))
    assert laboratory.outcome(calls.destroy(key)) == "rule protect"


# --- changes that would escape ----------------------------------------------------------------------


def test_a_client_cannot_rename_a_key_and_destroy_it_in_one_batch(
    laboratory: PolicyLaboratory,
) -> None:
    laboratory.apply(PROTECT)
    key = create(laboratory, "prod-1")
    ways = (
        rename(key, "free"),
        calls.delete_attribute(key, "Name", None, None),
        calls.set_attribute(key, "Name", name_of("free")),
    )
    for way in ways:
        results = laboratory.batch(way, calls.destroy(key))
        assert isinstance(results[0], OperationFailed)
        assert "take the object out of the rule 'protect'" in str(results[0])
        assert laboratory.outcome(calls.destroy(key)) == "rule protect"
    # Another name that the rule is about is none of its business, and whom it exempts may do it.
    assert laboratory.outcome(rename(key, "prod-2")) == ""
    laboratory.apply(PROTECT + '[rules.ops]\nwho = "ops"\nallow = "change"\nobjects = "prod-*"\n')
    assert laboratory.outcome(rename(key, "free"), "ops") == ""
    assert laboratory.outcome(calls.destroy(key)) == ""


def test_a_client_cannot_escape_through_an_exception(laboratory: PolicyLaboratory) -> None:
    laboratory.apply('[rules.keep]\ndeny = "Destroy"\nunless.objects = "tmp-*"\n')
    key = create(laboratory, "data")
    assert laboratory.outcome(rename(key, "tmp-1")) == "PERMISSION_DENIED"
    assert laboratory.outcome(calls.destroy(key)) == "rule keep"
    assert laboratory.outcome(calls.destroy(create(laboratory, "tmp-2"))) == ""


def test_who_may_change_attributes_cannot_give_itself_more(laboratory: PolicyLaboratory) -> None:
    laboratory.apply(
        '[rules.label]\nwho = "guest"\nallow = ["change attributes", "read attributes"]\n'
        'objects.owners = "me"\n'
        '[rules.share]\nwho = "guest"\nallow = "Get"\nobjects.attributes.x-Shared = "yes"\n'
    )
    key = create(laboratory)
    label = calls.set_attribute(key, "x-Shared", "yes")
    assert laboratory.outcome(label, "guest") == "PERMISSION_DENIED"
    assert laboratory.outcome(get(key), "guest") == "PERMISSION_DENIED"
    assert laboratory.outcome(calls.set_attribute(key, "x-Other", "yes"), "guest") == ""
    assert laboratory.outcome(label) == ""  # its owner may share it
    assert laboratory.outcome(get(key), "guest") == ""


def test_each_item_is_decided_about_with_what_earlier_ones_have_done(
    laboratory: PolicyLaboratory,
) -> None:
    """The record that is decided about is the one that the operation uses."""
    laboratory.apply('[rules.active]\ndeny = "Get"\nobjects.states = "Active"\n')
    key = create(laboratory)
    results = laboratory.batch(get(key), calls.activate(key), get(key))
    assert outcomes(results) == ["", "", "rule active"]


# --- other ways to name an object ---------------------------------------------------------------------


def test_a_placeholder_is_no_way_around(laboratory: PolicyLaboratory) -> None:
    laboratory.apply(PROTECT)
    create(laboratory, "prod-1")
    find = calls.locate("prod-1", None, None, None, None, None)
    destroy = raw(Operation.DESTROY, DestroyRequest())
    assert outcomes(laboratory.batch(find, destroy)) == ["", "rule protect"]


def test_an_index_of_the_batch_is_no_way_around(laboratory: PolicyLaboratory) -> None:
    laboratory.apply(PROTECT)
    make = calls.create(AES, 256, MASK, "prod-1", None)
    destroy = raw(Operation.DESTROY, DestroyRequest(unique_identifier=0))
    assert outcomes(laboratory.batch(make, destroy)) == ["", "rule protect"]


def test_a_reference_by_name_is_no_way_around(laboratory: PolicyLaboratory) -> None:
    laboratory.apply(PROTECT)
    create(laboratory, "prod-1")
    destroy = raw(Operation.DESTROY, DestroyRequest(unique_identifier=NameReference("prod-1")))
    assert laboratory.outcome(destroy, version=V3_0) == "rule protect"
    # A name means one's own object, also if those of others are shared.
    laboratory.apply('[rules.all]\nwho = "guest"\nallow = "all"\n')
    by_name = raw(Operation.GET, GetRequest(unique_identifier=NameReference("prod-1")))
    assert laboratory.outcome(by_name, "guest", V3_0) == "OBJECT_NOT_FOUND"


# --- Locate ----------------------------------------------------------------------------------------


def located(laboratory: PolicyLaboratory, identity: str, **criteria: Any) -> tuple[str, ...]:
    values = dict.fromkeys(("object_type", "attributes", "maximum", "offset", "storage_status"))
    call = calls.locate(criteria.pop("name", None), **(values | criteria))
    ids: tuple[str, ...] = laboratory.ask(call, identity=identity).ids
    return ids


def test_locate_finds_what_is_shared_and_nothing_else(laboratory: PolicyLaboratory) -> None:
    mine = [create(laboratory, f"key-{number}") for number in range(4)]
    others = [create(laboratory, f"key-{number}", "other") for number in range(4)]
    assert located(laboratory, "guest") == ()
    laboratory.apply(
        '[rules.some]\nwho = "guest"\nallow = "Locate"\nobjects = ["key-1", "key-2"]\n'
        '[rules.mine]\nwho = "guest"\nallow = ["Locate", "Get"]\nobjects.owners = "me"\n'
        '[rules.hidden]\nwho = "guest"\ndeny = "find"\nobjects = "key-3"\n'
    )
    shared = (others[2], others[1], mine[2], mine[1], mine[0])
    assert located(laboratory, "guest") == shared
    assert located(laboratory, "guest", name="key-1") == (others[1], mine[1])
    assert located(laboratory, "guest", maximum=2, offset=1) == shared[1:3]
    assert located(laboratory, "guest", name="key-3") == ()
    own = create(laboratory, "key-3", "guest")
    assert own not in located(laboratory, "guest")
    assert located(laboratory, "me") == tuple(reversed(mine))
    laboratory.ask(calls.destroy(mine[2]))
    assert mine[2] not in located(laboratory, "guest")


def test_locate_of_shared_objects_uses_the_index(laboratory: PolicyLaboratory) -> None:
    """A rule about one key of an account with many must not make each search read all of them."""
    wanted = create(laboratory, "wanted")
    for _ in range(60):
        create(laboratory)
    laboratory.apply('[rules.one]\nwho = "guest"\nallow = "find"\nobjects = "wanted"\n')
    reads: list[str] = []

    async def run() -> bytes:
        async with laboratory.serving():
            reader = await laboratory.store.run(lambda reader: reader)
            reader.connection.set_trace_callback(reads.append)
            data = encode(
                messages.request(V2_1, [calls.locate(None, None, None, None, None, None)]), V2_1
            )
            account = await laboratory.dispatcher.admit(Identity("guest"))
            answer = (await laboratory.dispatcher.respond(data, account)).data
            reader.connection.set_trace_callback(None)
            return answer

    response, _ = decode_response(trio.run(run))
    assert response.batch_items[0].response_payload.unique_identifiers == (wanted,)
    assert len([each for each in reads if "o.material" in each]) <= 2


# --- what was permitted, and is not any longer -----------------------------------------------------


def put_off(laboratory: PolicyLaboratory, call: Any) -> bytes:
    made = messages.request(V2_1, [call])
    header = made.request_header.replace(asynchronous_indicator=AsynchronousIndicator.MANDATORY)
    request = RequestMessage(request_header=header, batch_items=made.batch_items)
    [item] = laboratory.send(request).batch_items
    assert item.result_status is ResultStatus.OPERATION_PENDING
    value: bytes = item.asynchronous_correlation_value
    return value


def run_deferred(laboratory: PolicyLaboratory) -> None:
    laboratory.pass_time(seconds=2)

    async def run() -> None:
        async with laboratory.serving():
            await laboratory.dispatcher.run_deferred(await laboratory.dispatcher.due())

    trio.run(run)


def poll(value: bytes) -> Any:
    return raw(Operation.POLL, PollRequest(asynchronous_correlation_value=value))


DENY_GET = '[rules.no]\nwho = "me"\ndeny = "Get"\n'


def test_an_asynchronous_request_is_decided_about_when_it_is_carried_out(
    laboratory: PolicyLaboratory,
) -> None:
    value = put_off(laboratory, get(create(laboratory)))
    laboratory.apply(DENY_GET)
    run_deferred(laboratory)
    assert laboratory.outcome(poll(value)) == "rule no"


def test_a_result_is_decided_about_when_it_is_fetched(laboratory: PolicyLaboratory) -> None:
    """The key would leave the server after the rule that forbids it."""
    value = put_off(laboratory, get(create(laboratory)))
    run_deferred(laboratory)
    laboratory.apply(DENY_GET)
    assert laboratory.outcome(poll(value)) == "rule no"
    laboratory.apply("")
    assert laboratory.outcome(poll(value)) == ""


def test_each_part_of_several_is_decided_about(laboratory: PolicyLaboratory) -> None:
    key = create(laboratory)
    laboratory.ask(calls.activate(key))

    def part(value: bytes | None, **fields: Any) -> Any:
        return raw(
            Operation.ENCRYPT,
            EncryptRequest(
                unique_identifier=key if value is None else None,
                cryptographic_parameters=CBC if value is None else None,
                data=bytes(16), iv_counter_nonce=bytes(16) if value is None else None,
                correlation_value=value, **fields,
            ),
        )  # fmt: skip

    first = laboratory.ask(part(None, init_indicator=True))
    laboratory.apply('[rules.no]\nwho = "me"\ndeny = "Encrypt"\n')
    again = part(first.correlation_value, final_indicator=True)
    assert laboratory.outcome(again) == "rule no"


def test_a_key_is_not_sent_to_who_may_not_get_it(laboratory: PolicyLaboratory) -> None:
    """The server sends a key to the account that has made or changed it, which may not be its owner."""
    key = create(laboratory)
    source = RequestSource(
        laboratory.store, Notifications(frozenset({"me"})), lambda: laboratory.now,
        laboratory.state.policies,
    )  # fmt: skip

    def sent(account: str, operation: Operation) -> bool:
        notification = Notification(operation, key, V2_1, (Tag.STATE,))
        return trio.run(source.message, account, notification) is not None

    assert sent("me", Operation.PUT)
    assert not sent("guest", Operation.PUT)
    assert not sent("guest", Operation.NOTIFY)
    laboratory.apply(
        '[rules.no]\nwho = "me"\ndeny = "get material"\n'
        '[rules.see]\nwho = "guest"\nallow = "read attributes"\nobjects.owners = "me"\n'
    )
    assert not sent("me", Operation.PUT)
    assert sent("me", Operation.NOTIFY)
    assert sent("guest", Operation.NOTIFY)
    assert not sent("guest", Operation.PUT)


# --- who asks --------------------------------------------------------------------------------------


def test_addresses_are_those_of_the_connection(laboratory: PolicyLaboratory) -> None:
    laboratory.apply('[rules.net]\nwho = "me"\ndeny = "all"\nunless.who.networks = "10.0.0.0/8"\n')

    def outcome(address: str) -> str:
        return laboratory.outcome_as(Identity("me", address=address), calls.query(()))

    assert outcome("10.0.0.7") == ""
    assert outcome("192.0.2.7") == outcome("") == "rule net"


def test_the_clock_of_the_server_decides(laboratory: PolicyLaboratory) -> None:
    key = create(laboratory)
    end = laboratory.now + timedelta(hours=1)
    laboratory.apply(
        f'[rules.t]\nwho = "guest"\nallow = "Get"\nwhen.until = {end.isoformat()}\nobjects = "*"\n'
        f'[rules.u]\nwho = "guest"\nallow = "Get"\nobjects.owners = "me"\nwhen.until = {end.isoformat()}'
    )
    assert laboratory.outcome(get(key), "guest") == ""
    laboratory.pass_time(hours=1)
    assert laboratory.outcome(get(key), "guest") == "PERMISSION_DENIED"
    laboratory.pass_time(hours=-1)  # the clock is put back: the server's time does not go back
    assert laboratory.outcome(get(key), "guest") == "PERMISSION_DENIED"


def test_a_tenant_allows_nothing_of_others(laboratory: PolicyLaboratory) -> None:
    outside = create(laboratory, "shared")
    tenants = tuple(Tenant(name=name, administrators=("chief",)) for name in ("acme", "other"))
    laboratory.change(
        lambda transaction: write_book(transaction, tenants, now=laboratory.now, by="", change="")
    )
    trio.run(laboratory.dispatcher.restore)
    owner, guest = Identity("tenant:acme:owner"), Identity("tenant:acme:guest")
    inside = laboratory.ask_as(owner, calls.create(AES, 256, MASK, "shared", None))
    everything = '[rules.all]\nwho = "*"\nallow = "all"\n'

    def may_get(identity: Identity, key: str) -> bool:
        return laboratory.outcome_as(identity, get(key)) == ""

    laboratory.apply(everything)
    assert not may_get(guest, inside)  # what the server allows is for accounts without a tenant
    laboratory.apply(everything, "acme")
    laboratory.apply(everything, "other")
    assert may_get(guest, inside)
    find = calls.locate(None, None, None, None, None, None)
    assert laboratory.ask_as(guest, find).ids == (inside,)
    for stranger in ("tenant:other:guest", "tenant:other:chief", "guest"):
        assert not may_get(Identity(stranger), inside)
        assert inside not in laboratory.ask_as(Identity(stranger), find).ids
    for insider in (guest, Identity("tenant:acme:chief")):
        assert not may_get(insider, outside)
    # What the server denies holds for tenants as well; it names their accounts with the tenant.
    laboratory.apply('[rules.no]\nwho = "tenant:acme:guest"\ndeny = "Get"\n')
    assert not may_get(guest, inside)
    laboratory.apply('[rules.no]\nwho.tenants = "acme"\ndeny = "Get"\n')
    assert not may_get(owner, inside)
    laboratory.apply('[rules.no]\nwho = "guest"\ndeny = "Get"\n')
    assert may_get(guest, inside)


@pytest.mark.parametrize("exempt", ['users = "ops"', 'users = "id"', 'linked_groups = "ops"'])
def test_a_tenant_makes_no_user_or_group_that_a_rule_of_the_server_means(exempt: str) -> None:
    """Otherwise its administrator would escape what the server denies, by a name of his choice."""
    text = f'[rules.no]\ndeny = "Create"\nunless.who.{exempt}\n'

    def permits(account: str, documents: Documents) -> bool:
        who = Identity(account, user="id")
        now = datetime(2026, 11, 23, tzinfo=UTC)
        asked = Question(who, Operation.CREATE, now, groups=lambda: frozenset({"ops"}))
        return decide(asked, documents).is_permitted

    server = read_policy(text)
    assert permits("user:ops", Documents(server))
    assert not permits("tenant:acme:user:ops", Documents(server, Policy("acme")))
    assert permits("tenant:acme:user:ops", Documents(Policy(), read_policy(text, "acme")))


def test_a_tenant_makes_no_object_with_the_identifier_that_a_rule_of_the_server_means() -> None:
    """Two tenants may import the same identifier; the rule names that of one of them, or of none."""

    def permits(owner: str, text: str) -> bool:
        now = datetime(2026, 11, 23, tzinfo=UTC)
        key = Record("1", owner, ObjectType.SYMMETRIC_KEY, State.ACTIVE, Attributes(), None)
        documents = Documents(read_policy(text), Policy("acme") if ":" in owner else None)
        asked = Question(Identity(owner), Operation.GET, now, key)
        return decide(asked, documents).is_permitted

    only = '[rules.no]\ndeny = "Get"\nunless.objects.identifiers = "1"\n'
    assert permits("me", only)
    assert not permits("tenant:acme:me", only)
    none = '[rules.no]\ndeny = "Get"\nobjects.identifiers = "tenant:acme:1"\n'
    assert permits("me", none)
    assert not permits("tenant:acme:me", none), "as administrators of the server see it"
    assert permits("tenant:globex:me", none)


# --- races -----------------------------------------------------------------------------------------


def test_clients_that_race_with_changes_get_what_is_in_force(laboratory: PolicyLaboratory) -> None:
    """A request that begins after a change was answered is decided by it, whoever else is served."""
    key = create(laboratory)
    laboratory.apply('[rules.open]\nwho = "x"\ndeny = "Get"\n')
    laboratory.apply(DENY_GET)
    data = encode(messages.request(V2_1, [get(key)]), V2_1)
    changed: list[tuple[int, str]] = [(0, "rule no")]
    """Changes that were answered: the outcome from then on."""
    wrong: list[str] = []
    counts: dict[str, int] = {}
    is_over = trio.Event()

    async def client() -> None:
        account = await laboratory.dispatcher.admit(Identity("me"))
        while not is_over.is_set():
            before = changed[-1]
            response, _ = decode_response((await laboratory.dispatcher.respond(data, account)).data)
            item = response.batch_items[0]
            outcome = "" if item.result_status is ResultStatus.SUCCESS else "rule no"
            if changed[-1] is before and not pending and outcome != before[1]:
                wrong.append(outcome)
            counts[outcome] = counts.get(outcome, 0) + 1
            await trio.lowlevel.checkpoint()

    pending: list[int] = []

    async def run() -> None:
        async with laboratory.serving(), trio.open_nursery() as nursery:
            for _ in range(32):
                nursery.start_soon(client)
            for turn in range(12):
                number = 1 + turn % 2
                pending.append(turn)
                await laboratory.store.run(
                    lambda transaction, number=number: versions.revert(
                        transaction, number, author="ops", now=laboratory.now
                    ),
                    writes=True,
                )
                changed.append((turn, "" if number == 1 else "rule no"))
                pending.pop()
                for _ in range(5):
                    await trio.lowlevel.checkpoint()
            is_over.set()

    trio.run(run)
    assert not wrong
    assert counts.get("")
    assert counts.get("rule no")
