"""What the audit log records of a request: who, from where, what, on which object, with which result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audited import ADDRESS, AuditedLaboratory
from kmipkit_client import calls
from kmipkit_server.audit.plain_records import PlainRecords
from kmipkit_server.audit.recorder import MAX_OBJECTS, records
from kmipkit_server.audit.records import Entry, Event, Outcome, Record, decode, encode
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.hooks import Permissions
from kmipkit_server.engine.seam import Hook, Seam
from policies import apply_policy
from raw_messages import enumeration, text
from raw_messages import request as raw_request

from kmipkit.model.codec import encode as encode_message
from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.model.envelope import decode_response
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem, RequestMessage
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    CredentialType,
    CryptographicAlgorithm,
    Operation,
    QueryFunction,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_4, V2_1, V3_0, VERSIONS, Version
from kmipkit.ttlv.tree import Item

CREATE = calls.create(CryptographicAlgorithm.AES, 128, Mask.ENCRYPT, None, None)


def fetch(identifier: str) -> Any:
    return calls.get(identifier, None, None, None)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[AuditedLaboratory]:
    laboratory = AuditedLaboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def test_a_refused_request_by_name_is_recorded(laboratory: AuditedLaboratory) -> None:
    """KMIP 3.0 names objects by their Name. Else a client could ask without a trace in the log."""
    requests = (fetch(NameReference("nobody's")), calls.destroy(NameReference("nobody's")))

    async def work(_: object) -> None:
        for each in requests:
            await laboratory.request(each, version=V3_0)
        await laboratory.request(*requests, version=V3_0)

    laboratory.run(work)
    entries = laboratory.operations()
    assert [each.operation for each in entries] == ["Get", "Destroy", "Get"]
    for entry in entries:
        assert (entry.objects, entry.outcome) == (("nobody's",), Outcome.FAILED)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_get_is_recorded(laboratory: AuditedLaboratory, version: Version) -> None:
    async def work(_: object) -> str:
        [key] = await laboratory.request(CREATE, identity="Müller & Söhne")
        await laboratory.request(fetch(key), identity="Müller & Söhne", version=version)
        await laboratory.request(fetch(key), identity="Müller & Söhne", version=version)
        return str(key)

    key = laboratory.run(work)
    create, first, second = laboratory.operations()
    assert (create.operation, create.objects, create.change) == ("Create", (key,), True)
    assert first.change, "it clears Fresh"
    assert not second.change
    for entry in (first, second):
        assert entry.operation == "Get"
        assert entry.objects == (key,)
        assert entry.outcome is Outcome.SUCCESS
        assert entry.version == str(version)
        assert entry.client.account == "Müller & Söhne"
        assert (entry.client.address, entry.client.port) == (ADDRESS, 4711)
        assert entry.client.tenant == ""
        assert entry.time == laboratory.now
        assert bool(entry.server_correlation_value) is (version >= V2_1)
    assert not laboratory.verify().problems


def test_a_warning_is_part_of_the_record(laboratory: AuditedLaboratory) -> None:
    """Who still makes or uses what will be refused can be found before that day."""
    apply_policy(
        laboratory,
        '[algorithms."long keys"]\nminimum_length = { AES = 256 }\nfrom = 2027-01-01',
    )

    async def work(_: object) -> None:
        await laboratory.request(CREATE, calls.query((QueryFunction.QUERY_OPERATIONS,)))
        await laboratory.request(calls.query((QueryFunction.QUERY_OPERATIONS,)))

    laboratory.run(work)
    create, *others = laboratory.operations()
    assert create.notes == (
        "the algorithm rule 'long keys' will not permit it from 2027-01-01 00:00 UTC on: AES with"
        " 128 bits is shorter than 256 bits",
    )
    assert [each.notes for each in others] == [(), ()]


def test_a_refusal_is_recorded_with_its_reason(laboratory: AuditedLaboratory) -> None:
    async def work(_: object) -> str:
        [key] = await laboratory.request(CREATE)
        await laboratory.request(fetch(key), identity="a thief")
        await laboratory.request(fetch("no such key"))
        return str(key)

    key = laboratory.run(work)
    _, stolen, missing = laboratory.operations()
    assert (stolen.outcome, stolen.reason) == (Outcome.FAILED, "Permission Denied")
    assert (stolen.objects, stolen.client.account) == ((key,), "a thief")
    assert (missing.reason, missing.objects) == ("Object Not Found", ("no such key",))
    assert "no such key" in missing.message


@pytest.mark.parametrize("option", BatchErrorContinuationOption)
def test_each_item_of_a_batch_has_a_record(
    laboratory: AuditedLaboratory, option: BatchErrorContinuationOption
) -> None:
    async def work(_: object) -> None:
        await laboratory.request(CREATE, fetch("none"), CREATE, on_error=option)

    laboratory.run(work)
    entries = laboratory.operations()
    outcomes = [entry.outcome for entry in entries]
    success, failed = Outcome.SUCCESS, Outcome.FAILED
    assert (
        outcomes
        == {
            BatchErrorContinuationOption.STOP: [success, failed],
            BatchErrorContinuationOption.CONTINUE: [success, failed, success],
            BatchErrorContinuationOption.UNDO: [Outcome.UNDONE, failed],
        }[option]
    )
    assert [(entry.item, entry.items) for entry in entries] == [
        (position, 3) for position in range(1, len(entries) + 1)
    ]
    assert laboratory.record(entries[0].objects[0]) is None or outcomes[0] is success


def test_an_identifier_from_the_id_placeholder_is_recorded(laboratory: AuditedLaboratory) -> None:
    async def work(_: object) -> None:
        get = calls.raw(Operation.GET, GetRequest())
        await laboratory.request(CREATE, get, version=V1_4)

    laboratory.run(work)
    create, get = laboratory.operations()
    assert get.objects == create.objects != ()


def test_a_message_that_cannot_be_read_is_recorded(laboratory: AuditedLaboratory) -> None:
    malformed = raw_request(V1_4, (Operation.GET, [text(Tag.NAME_VALUE, "x")]))

    async def work(_: object) -> None:
        await laboratory.respond(b"\x42\x00\x78\x01\x00\x00\x00\x08" + bytes(8))
        await laboratory.respond(malformed)

    laboratory.run(work)
    message, item = laboratory.operations()
    assert (message.event, message.outcome) == (Event.MESSAGE, Outcome.FAILED)
    assert message.reason
    assert message.client.account == "me"
    assert (item.event, item.operation, item.outcome) == (
        Event.OPERATION, "Get", Outcome.FAILED,
    )  # fmt: skip


def test_a_message_that_is_refused_as_a_whole_is_recorded(laboratory: AuditedLaboratory) -> None:
    header = RequestHeader(protocol_version=ProtocolVersion.of(V1_4), batch_count=7)
    item = RequestBatchItem(operation=Operation.GET, request_payload=GetRequest())
    wrong_count = RequestMessage(request_header=header, batch_items=(item,))

    async def work(_: object) -> None:
        await laboratory.respond(encode_message(wrong_count, V1_4))

    laboratory.run(work)
    [entry] = laboratory.operations()
    assert (entry.operation, entry.reason) == ("Get", "Invalid Message")


def test_all_of_a_message_whose_response_is_too_large_is_recorded(
    laboratory: AuditedLaboratory,
) -> None:
    maximum = Item(Tag.MAXIMUM_RESPONSE_SIZE, ItemType.INTEGER, 100)
    items = [(Operation.DISCOVER_VERSIONS, []), (Operation.DISCOVER_VERSIONS, [])]

    async def work(_: object) -> None:
        await laboratory.respond(raw_request(V1_4, *items, header=(maximum,)))

    laboratory.run(work)
    assert [(entry.item, entry.reason) for entry in laboratory.operations()] == [
        (1, "Response Too Large"), (2, "Response Too Large"),
    ]  # fmt: skip


def test_a_failed_login_is_recorded_with_what_it_was_for(laboratory: AuditedLaboratory) -> None:
    value = UsernameAndPassword(username="vcenter", password="correct horse battery staple")
    credential = Credential(
        credential_type=CredentialType.USERNAME_AND_PASSWORD, credential_value=value
    )

    async def work(_: object) -> None:
        await laboratory.request(fetch("a key"), fetch("another"), credential=credential)

    laboratory.run(work)
    entries = laboratory.operations()
    assert [entry.objects for entry in entries] == [("a key",), ("another",)]
    assert {entry.reason for entry in entries} == {"Authentication Not Successful"}


def test_correlation_values_are_recorded(laboratory: AuditedLaboratory) -> None:
    value = Item(Tag.CLIENT_CORRELATION_VALUE, ItemType.TEXT_STRING, "vm-4711 ✓")
    request = raw_request(V2_1, (Operation.QUERY, []), header=(value,))

    async def work(_: object) -> bytes:
        return await laboratory.respond(request)

    response = laboratory.run(work)
    [entry] = laboratory.operations()
    assert entry.client_correlation_value == "vm-4711 ✓"
    assert entry.server_correlation_value.encode() in response


def test_what_a_client_chooses_cannot_fill_the_log(laboratory: AuditedLaboratory) -> None:
    async def work(_: object) -> None:
        for _number in range(MAX_OBJECTS + 1):
            await laboratory.request(CREATE)
        await laboratory.request(calls.locate(None, None, None, None, None, None))
        await laboratory.request(fetch("x" * 100_000))

    laboratory.run(work)
    *_, located, long = laboratory.operations()
    assert (len(located.objects), located.object_count) == (MAX_OBJECTS, MAX_OBJECTS + 1)
    assert len(long.objects[0]) < 200
    assert len(long.message) < 1000


def test_names_cannot_forge_a_record(laboratory: AuditedLaboratory) -> None:
    name = 'x","outcome":"success"}\n{"n":1,"hash":"' + "0" * 64 + '"}'

    async def work(_: object) -> None:
        await laboratory.request(fetch(name), identity=name)

    laboratory.run(work)
    [entry] = laboratory.operations()
    assert entry.client.account == name
    assert entry.outcome is Outcome.FAILED
    assert not laboratory.verify().problems


def test_a_name_that_is_not_unicode_is_escaped(laboratory: AuditedLaboratory) -> None:
    async def work(_: object) -> None:
        await laboratory.request(fetch("missing"), identity="bad \udcff name")

    laboratory.run(work)
    [entry] = laboratory.operations()
    assert entry.client.account == "bad \\udcff name"
    record = Record(
        time=laboratory.now, event=Event.MESSAGE, objects=("\ud800",), message="\udfff", n=7
    )
    decoded = decode(encode(record))
    assert (decoded.n, decoded.objects, decoded.message) == (7, ("\\ud800",), "\\udfff")
    assert decoded.event is Event.MESSAGE


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["ada", 'Müller \\ "Söhne"'])
def test_ordinary_records_are_written_as_all_others(
    laboratory: AuditedLaboratory, version: Version, name: str
) -> None:
    """There is a faster way for them, which must not say anything else."""
    exchanges: list[Exchange] = []

    class Observer(Hook):
        def responding(self, exchange: Exchange) -> None:
            exchanges.append(exchange)

    async def work(_: object) -> None:
        laboratory.now = laboratory.now.replace(microsecond=12)
        laboratory.dispatcher.seam = Seam((Permissions(), Observer()))
        for key in await laboratory.request(CREATE, identity=name):
            for _ in range(2):
                await laboratory.request(fetch(key), identity=name, version=version)
            await laboratory.request(calls.get_attribute_list(key), identity=name, version=version)
        await laboratory.request(fetch("missing"), identity=name, version=version)

    laboratory.run(work)
    plain = PlainRecords()
    ordinary = 0
    for exchange in exchanges:
        body = plain.body(exchange, 7)
        if body is None:
            continue
        ordinary += 1
        [record] = records(exchange, exchange.results, exchange.objects)
        record.n = 7
        record.duration = decode(body).duration
        assert body == encode(record)
    assert ordinary == 4, "all but the refusal"


def test_an_asynchronous_request_is_recorded_when_it_is_carried_out(tmp_path: Path) -> None:
    laboratory = AuditedLaboratory(tmp_path / "data")
    indicator = Item(Tag.ASYNCHRONOUS_INDICATOR, ItemType.BOOLEAN, True)
    function = enumeration(Tag.QUERY_FUNCTION, QueryFunction.QUERY_OPERATIONS)
    query = raw_request(V1_4, (Operation.QUERY, [function]), header=(indicator,))

    async def work(_: object) -> None:
        await laboratory.respond(query)
        await laboratory.dispatcher.run_deferred(await laboratory.dispatcher.due())

    laboratory.run(work)
    accepted, done = laboratory.operations()
    assert (accepted.outcome, done.outcome) == (Outcome.PENDING, Outcome.SUCCESS)
    assert done.client == accepted.client
    laboratory.close()


def test_a_poll_that_gives_out_a_key_names_it(laboratory: AuditedLaboratory) -> None:
    """Who fetches the result may be at another address than who asked for it."""
    indicator = Item(Tag.ASYNCHRONOUS_INDICATOR, ItemType.BOOLEAN, True)

    async def work(_: object) -> str:
        [key] = await laboratory.request(CREATE)
        get = raw_request(
            V1_4, (Operation.GET, [text(Tag.UNIQUE_IDENTIFIER, key)]), header=(indicator,)
        )
        pending, _ = decode_response(await laboratory.respond(get))
        value = pending.batch_items[0].asynchronous_correlation_value
        assert value is not None
        laboratory.pass_time(seconds=10)
        await laboratory.dispatcher.run_deferred(await laboratory.dispatcher.due())
        correlation = Item(Tag.ASYNCHRONOUS_CORRELATION_VALUE, ItemType.BYTE_STRING, value)
        await laboratory.respond(raw_request(V1_4, (Operation.POLL, [correlation])))
        return str(key)

    key = laboratory.run(work)
    entries = laboratory.operations()
    assert [entry.operation for entry in entries] == ["Create", "Get", "Get", "Poll"]
    assert {entry.objects for entry in entries} == {(key,)}


def test_each_operation_of_the_table_is_named(laboratory: AuditedLaboratory) -> None:
    """Also one without payload, which fails: no operation is exempt."""
    rows = list(laboratory.dispatcher.server.registry.known_in(V2_1))

    async def work(_: object) -> None:
        for row in rows:
            await laboratory.respond(raw_request(V2_1, (row.operation, [])))

    laboratory.run(work)
    entries: list[Entry] = laboratory.operations()
    assert len(entries) == len(rows)
    assert all(entry.operation and entry.outcome for entry in entries)
    assert len({entry.operation for entry in entries}) == len(rows)


def test_an_operation_of_a_later_version_is_recorded(laboratory: AuditedLaboratory) -> None:
    async def work(_: object) -> None:
        await laboratory.respond(raw_request(V1_0, (Operation.ENCRYPT, [])))

    laboratory.run(work)
    [entry] = laboratory.operations()
    assert (entry.operation, entry.reason) == ("Encrypt", "Operation Not Supported")
