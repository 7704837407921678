"""Requests that begin in one process and end in another: tickets, asynchronous ones, and those in parts.

A loss: a ticket of one use is counted twice, a request is carried out a second time or never, or a part
reaches an operation of somebody else.
"""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from kmipkit_certs.revocation_status import PeerCertificate
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_server.engine import asynchronous
from kmipkit_server.engine.asynchronous import LEASE, AsynchronousRequests
from kmipkit_server.engine.peers import PeerGone
from kmipkit_server.identity import blocks
from kmipkit_server.identity.blocks import Block
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.base import Transaction
from kmipkit_server.store.revision import set_shared
from kmipkit_server.tenants.book import write_book
from kmipkit_server.tenants.tenant import Tenant
from processes import Processes, change, processes, reason, reasons_of

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.credentials import Credential, Ticket, TicketCredential
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.objects import SecretData
from kmipkit.model.payloads.asynchronous import CancelRequest, PollRequest, ProcessRequest
from kmipkit.model.payloads.crypto import EncryptRequest, HashRequest
from kmipkit.model.payloads.session import LoginRequest, LogoutRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    BlockCipherMode,
    CancellationResult,
    CredentialType,
    CryptographicAlgorithm,
    HashingAlgorithm,
    KeyFormatType,
    Operation,
    ResultReason,
    ResultStatus,
    SecretDataType,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V2_1

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
CREATE = calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, None)
LOGIN = calls.raw(Operation.LOGIN, LoginRequest())
SHA_256 = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
CTR = CryptographicParameters(block_cipher_mode=BlockCipherMode.CTR)


def get(identifier: str) -> Any:
    return calls.get(identifier, None, None, None)


# --- tickets ---------------------------------------------------------------------------------------


def with_ticket(both: Processes, number: int, ticket: Ticket, *asked: Any) -> list[Any]:
    value = TicketCredential(ticket=ticket)
    credential = Credential(credential_type=CredentialType.TICKET, credential_value=value)
    request = messages.request(V2_1, asked, credential)
    return messages.results(asked, both.send(number, request, identity="holder"))


def ticket_of(both: Processes, number: int, **fields: Any) -> Ticket:
    payload = both.ask(number, calls.raw(Operation.LOGIN, LoginRequest(**fields)))
    assert isinstance(payload.ticket, Ticket)
    return payload.ticket


def test_a_ticket_is_valid_in_all_until_it_is_withdrawn_in_one(both: Processes) -> None:
    ticket = ticket_of(both, 1)
    assert isinstance(with_ticket(both, 2, ticket, CREATE)[0], str)
    both.ask(2, calls.raw(Operation.LOGOUT, LogoutRequest(ticket=ticket)))
    [result] = with_ticket(both, 1, ticket, CREATE)
    assert result.reason.name == "INVALID_TICKET"


def test_the_requests_of_a_ticket_are_counted_together(both: Processes) -> None:
    ticket = ticket_of(both, 1, request_count=2)
    results = [with_ticket(both, number, ticket, CREATE)[0] for number in (2, 1, 2, 1)]
    assert [isinstance(each, str) for each in results] == [True, True, False, False]
    assert {each.reason.name for each in results[2:]} == {"USAGE_LIMIT_EXCEEDED"}


def test_a_ticket_expires_in_all(both: Processes) -> None:
    ticket = ticket_of(both, 1, lease_time=10)
    both.pass_time(seconds=11)
    [result] = with_ticket(both, 2, ticket, CREATE)
    assert result.reason.name == "INVALID_TICKET"


def test_a_ticket_survives_the_process_that_has_issued_it(both: Processes) -> None:
    ticket = ticket_of(both, 1)
    both.kill(1)
    assert isinstance(with_ticket(both, 2, ticket, CREATE)[0], str)
    both.restart(1)
    assert isinstance(with_ticket(both, 1, ticket, CREATE)[0], str)


def test_the_store_has_no_value_of_a_ticket(both: Processes, tmp_path: Path) -> None:
    """Whoever reads the database or a backup could use it."""
    ticket = ticket_of(both, 1)
    files = [each.read_bytes() for each in (tmp_path / "data").iterdir() if each.is_file()]
    assert not any(ticket.ticket_value in content for content in files)


# --- asynchronous requests -------------------------------------------------------------------------


def put_off(both: Processes, number: int, *asked: Any) -> list[bytes]:
    made = messages.request(V2_1, asked)
    header = made.request_header.replace(asynchronous_indicator=AsynchronousIndicator.MANDATORY)
    items = both.send(number, made.replace(request_header=header)).batch_items
    return [item.asynchronous_correlation_value or b"" for item in items]


def poll(both: Processes, number: int, value: bytes) -> ResponseBatchItem:
    call = calls.raw(Operation.POLL, PollRequest(asynchronous_correlation_value=value))
    return both.send(number, messages.request(V2_1, [call])).batch_items[0]


def count(both: Processes) -> int:
    return len(both.ask(1, calls.locate(None, None, None, None, None, None)).ids)


def test_any_process_carries_out_what_another_has_accepted(both: Processes) -> None:
    [value] = put_off(both, 1, CREATE)
    both.kill(1)
    answer = poll(both, 2, value)
    assert (answer.operation, answer.result_status) == (Operation.CREATE, ResultStatus.SUCCESS)
    both.restart(1)
    assert poll(both, 1, value).result_status is ResultStatus.OPERATION_FAILED
    assert count(both) == 1


def test_a_result_can_be_polled_from_any_process(both: Processes) -> None:
    values = put_off(both, 1, CREATE, calls.destroy("nothing"))
    assert poll(both, 1, values[0]).result_status is ResultStatus.SUCCESS
    both.kill(1)
    answer = poll(both, 2, values[1])
    assert answer.operation is Operation.DESTROY
    assert answer.result_reason is not None
    both.restart(1)


def claim(both: Processes, number: int) -> Any:
    """Claim the only request that is due, as a process does that is then killed."""
    process = both.all[number - 1]

    def work(transaction: Transaction) -> Any:
        requests = AsynchronousRequests(transaction, process.now)
        [due] = requests.due(process.now)
        return requests.claim(due.key, process.dispatcher.worker, b"claim")

    return both.run(lambda: process.store.run(work, writes=True))


def test_what_a_dead_process_has_claimed_is_taken_over_once(both: Processes) -> None:
    [value] = put_off(both, 1, CREATE)
    claimed = claim(both, 1)
    both.kill(1)
    assert poll(both, 2, value).result_status is ResultStatus.OPERATION_PENDING
    assert cancel(both, 2, value) is CancellationResult.UNABLE_TO_CANCEL
    both.pass_time(seconds=LEASE.total_seconds() + 1)
    assert poll(both, 2, value).result_status is ResultStatus.SUCCESS
    both.restart(1)
    assert count(both) == 1
    # The process was not dead after all, but slow: it comes too late, and changes nothing.
    store = both.all[0].store

    def complete(transaction: Transaction) -> None:
        AsynchronousRequests(transaction, both.now).complete(claimed, V2_1, [])

    with pytest.raises(asynchronous.ClaimLost):
        both.run(lambda: store.run(complete, writes=True))


def test_a_process_takes_over_from_itself_at_once(both: Processes) -> None:
    """After kill -9 of the only process, clients do not wait for the end of its claim."""
    [value] = put_off(both, 1, CREATE)
    claim(both, 1)
    both.kill(1)
    both.restart(1)
    assert poll(both, 1, value).result_status is ResultStatus.SUCCESS
    assert count(both) == 1


def test_a_request_that_two_processes_take_is_carried_out_once(both: Processes) -> None:
    put_off(both, 1, CREATE)

    async def work() -> None:
        dispatchers = [each.dispatcher for each in both.all]
        due = [await each.due() for each in dispatchers]
        async with trio.open_nursery() as nursery:
            for dispatcher, requests in zip(dispatchers, due, strict=True):
                nursery.start_soon(dispatcher.run_deferred, requests)

    both.run(work)
    assert count(both) == 1


def test_a_request_that_waits_is_carried_out_although_tenants_change(both: Processes) -> None:
    """Its account has no connection that could be admitted again."""
    [value] = put_off(both, 1, CREATE)

    def tenants(transaction: Transaction) -> None:
        other = Tenant("acme", accounts=("somebody",))
        write_book(transaction, (other,), now=both.now, by="", change="")

    change(both, 1, tenants)
    both.run(lambda: run_due(both.all[1].dispatcher))
    assert poll(both, 2, value).result_status is ResultStatus.SUCCESS


def test_a_request_whose_certificate_is_revoked_meanwhile_is_not_carried_out(
    both: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits in the store, where it would outlive the connections of the thief."""
    certificate = PeerCertificate("CN=me", (), 7, b"hash", b"issuer", b"serial")
    identity = Identity("me", certificate=certificate)
    made = messages.request(V2_1, [CREATE])
    header = made.request_header.replace(asynchronous_indicator=AsynchronousIndicator.MANDATORY)
    both.send(1, made.replace(request_header=header), identity=identity)
    for each in both.all:
        monkeypatch.setattr(each.dispatcher.accounts, "revocation", lambda _: "key compromise")
    both.run(lambda: run_due(both.all[1].dispatcher))
    assert count(both) == 0


def cancel(both: Processes, number: int, value: bytes) -> CancellationResult:
    request = CancelRequest(asynchronous_correlation_value=value)
    answer = both.ask(number, calls.raw(Operation.CANCEL, request))
    assert isinstance(answer.cancellation_result, CancellationResult)
    return answer.cancellation_result


def test_a_request_is_cancelled_by_any_process(tmp_path: Path) -> None:
    with processes(tmp_path / "data", delay=5) as both:
        first, second = put_off(both, 1, CREATE, CREATE)
        assert cancel(both, 2, first) is CancellationResult.CANCELED
        both.pass_time(seconds=6)
        assert poll(both, 1, second).result_status is ResultStatus.SUCCESS
        assert count(both) == 1


def test_the_store_has_no_key_of_a_request_in_clear(both: Processes, tmp_path: Path) -> None:
    """Nor in the result that waits for a Poll, nor in what it leaves behind."""
    secret = bytes(range(100, 116))

    def files() -> bytes:
        folder = tmp_path / "data"
        return b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file())

    [value] = put_off(both, 1, calls.register(secret_data(secret)))
    assert secret not in files()
    key = poll(both, 2, value).response_payload.unique_identifier
    [value] = put_off(both, 1, get(key))
    both.run(lambda: run_due(both.all[1].dispatcher))
    assert secret not in files()
    assert poll(both, 2, value).response_payload.object.key_block.key_value.key_material == secret
    for kind in asynchronous.KINDS:
        assert both.all[0].entries(kind) == []


async def run_due(dispatcher: Any) -> None:
    await dispatcher.run_deferred(await dispatcher.due())


def secret_data(secret: bytes) -> SecretData:
    block = KeyBlock(key_format_type=KeyFormatType.OPAQUE, key_value=KeyValue(key_material=secret))
    return SecretData(secret_data_type=SecretDataType.SEED, key_block=block)


# --- operations in several parts -------------------------------------------------------------------


def hashing(**fields: Any) -> Any:
    return calls.raw(Operation.HASH, HashRequest(cryptographic_parameters=SHA_256, **fields))


def test_a_part_reaches_the_process_that_has_the_others(both: Processes) -> None:
    value = both.ask(1, hashing(data=b"one", init_indicator=True)).correlation_value
    assert both.ask(2, hashing(data=b"two", correlation_value=value)).data is None
    last = both.ask(2, hashing(data=b"three", correlation_value=value, final_indicator=True))
    assert last.data == hashlib.sha256(b"onetwothree").digest()


def test_an_encryption_goes_on_in_another_process(both: Processes) -> None:
    key = both.ask(1, CREATE)
    both.ask(1, calls.activate(key))
    whole = both.ask(1, calls.encrypt(key, bytes(64), CTR, bytes(16))).data

    def part(**fields: Any) -> Any:
        request = EncryptRequest(data=bytes(32), cryptographic_parameters=CTR, **fields)
        return calls.raw(Operation.ENCRYPT, request)

    first = both.ask(
        1, part(unique_identifier=key, iv_counter_nonce=bytes(16), init_indicator=True)
    )
    last = both.ask(2, part(correlation_value=first.correlation_value, final_indicator=True))
    assert first.data + last.data == whole


def test_a_part_of_an_account_is_nothing_for_others_in_any_process(both: Processes) -> None:
    value = both.ask(1, hashing(data=b"one", init_indicator=True)).correlation_value
    more = hashing(data=b"two", correlation_value=value)
    for number in (1, 2):
        assert reason(both, number, more, identity="other") == "INVALID_CORRELATION_VALUE"


def test_the_parts_of_a_dead_process_are_unknown(both: Processes) -> None:
    value = both.ask(1, hashing(data=b"one", init_indicator=True)).correlation_value
    more = hashing(data=b"two", correlation_value=value)
    both.kill(1)
    assert reason(both, 2, more) == "INVALID_CORRELATION_VALUE"
    both.restart(1)
    assert reason(both, 2, more) == "INVALID_CORRELATION_VALUE"
    assert reason(both, 1, more) == "INVALID_CORRELATION_VALUE"


@pytest.mark.parametrize("may_have_begun", [False, True])
def test_a_message_that_was_handed_over_is_carried_out_once_at_most(
    both: Processes, may_have_begun: bool
) -> None:
    """Whoever had the parts dies: what it may have begun, nobody repeats."""
    value = both.ask(1, hashing(data=b"one", init_indicator=True)).correlation_value
    peers = both.all[1].dispatcher.peers

    async def die(worker: int, _kind: str, _body: bytes) -> bytes:
        raise PeerGone(worker, may_have_begun=may_have_begun)

    peers.ask = die  # type: ignore[method-assign]
    results = both.batch(2, CREATE, hashing(data=b"two", correlation_value=value))
    if may_have_begun:
        assert reasons_of(results) == ["GENERAL_FAILURE"] * 2
        assert "whether it took place is unknown" in str(results[0])
    else:
        assert reasons_of(results) == ["", "INVALID_CORRELATION_VALUE"]
    assert count(both) == (0 if may_have_begun else 1)


def test_nobody_can_make_a_correlation_value(both: Processes) -> None:
    """A value that was changed leads to no process, not even to the one that it named."""
    value = both.ask(1, hashing(data=b"one", init_indicator=True)).correlation_value
    asked: list[str] = []
    peers = both.all[1].dispatcher.peers
    ask = peers.ask

    async def noting(worker: int, kind: str, body: bytes) -> bytes:
        asked.append(kind)
        return await ask(worker, kind, body)

    peers.ask = noting  # type: ignore[method-assign]
    for place in range(len(value)):
        changed = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
        more = hashing(data=b"two", correlation_value=changed)
        assert reason(both, 2, more) == "INVALID_CORRELATION_VALUE"
    assert asked == []


def test_two_values_of_one_process_do_not_show_that(both: Processes) -> None:
    """What names the process looks random."""
    start = hashing(data=b"one", init_indicator=True)
    values = [both.ask(1, start).correlation_value for _ in range(8)]
    for place in range(len(values[0])):
        assert len({value[place] for value in values}) > 1


def test_a_peer_makes_all_checks_of_the_client_again(both: Processes) -> None:
    """The account was blocked meanwhile, which the process with the connection does not know yet."""
    value = both.ask(1, hashing(data=b"one", init_indicator=True)).correlation_value
    more = hashing(data=b"two", correlation_value=value)

    def block(transaction: Transaction) -> None:
        packed = blocks.pack({"me": Block(both.now, "administrator")})
        set_shared(transaction, blocks.SETTING, packed)

    change(both, 1, block)
    assert reason(both, 2, more) == "PERMISSION_DENIED"


@pytest.mark.parametrize("how", ["by itself", "for a Poll", "for a Process"])
def test_a_part_that_is_put_off_is_carried_out_where_the_others_are(
    both: Processes, how: str
) -> None:
    """Whichever process finds that it is due; it would fail in all but one."""
    first = both.ask(1, hashing(data=b"one", init_indicator=True)).correlation_value
    [value] = put_off(both, 2, hashing(data=b"two", correlation_value=first, final_indicator=True))
    if how == "by itself":
        both.run(lambda: run_due(both.all[1].dispatcher))
    elif how == "for a Process":
        request = ProcessRequest(asynchronous_correlation_value=value)
        both.ask(2, calls.raw(Operation.PROCESS, request))
    result = poll(both, 2, value).response_payload
    assert result.data == hashlib.sha256(b"onetwo").digest()  # type: ignore[union-attr]


def test_a_part_that_is_put_off_fails_if_the_process_with_the_others_has_ended(
    both: Processes,
) -> None:
    first = both.ask(1, hashing(data=b"one", init_indicator=True)).correlation_value
    [value] = put_off(both, 2, hashing(data=b"two", correlation_value=first))
    both.kill(1)
    result = poll(both, 2, value)
    assert result.result_reason is ResultReason.INVALID_CORRELATION_VALUE
    assert "before it ended" in (result.result_message or "")


def test_a_part_that_is_put_off_at_another_node_is_left_to_that_for_a_while(
    tmp_path: Path,
) -> None:
    """Nodes do not ask each other; but a node may have ended."""
    with processes(tmp_path / "data") as nodes:
        for each in nodes.all:
            each.dispatcher.node = f"node {each.dispatcher.peers.number}"
            each.dispatcher._join(each.dispatcher.peers)
        first = nodes.ask(1, hashing(data=b"one", init_indicator=True)).correlation_value
        [value] = put_off(nodes, 1, hashing(data=b"two", correlation_value=first))
        due = nodes.all[1].dispatcher.due
        assert nodes.run(due) == []
        nodes.pass_time(seconds=LEASE.total_seconds())
        assert len(nodes.run(due)) == 1
        assert poll(nodes, 1, value).result_status is ResultStatus.SUCCESS


@pytest.mark.parametrize(
    ("gone", "ended"),
    [
        ("me", {"me"}),
        ("tenant:acme:", {"tenant:acme:me", "tenant:acme:you"}),
        ("tenant:acme:me", {"tenant:acme:me"}),
    ],
)
def test_the_parts_of_who_is_gone_end_in_all_processes(
    both: Processes, gone: str, ended: set[str]
) -> None:
    """Another account of the same name, or another tenant, could otherwise go on with them."""
    owners = ("me", "you", "tenant:acme:me", "tenant:acme:you", "tenant:acme2:me")
    tenants = (Tenant("acme"), Tenant("acme2"))
    change(both, 1, lambda store: write_book(store, tenants, now=both.now, by="", change=""))
    start = hashing(data=b"one", init_indicator=True)
    for number in (1, 2):
        for owner in owners:
            both.ask(number, start, identity=owner)
    both.run(lambda: both.all[0].dispatcher.following.announce(gone))
    for process in both.all:
        left = {each.owner[0] for each in process.dispatcher.server.state.computations.values()}
        assert left == set(owners) - ended


def test_a_message_that_nobody_of_the_server_has_sealed_is_not_answered(both: Processes) -> None:
    answer = both.all[0].dispatcher.peers.answers["parts"]  # type: ignore[attr-defined]
    assert both.run(lambda: answer(bytes(100))) == b""


def test_the_operations_of_two_processes_are_not_continued_in_one_message(both: Processes) -> None:
    values = [
        both.ask(number, hashing(data=b"one", init_indicator=True)).correlation_value
        for number in (1, 2)
    ]
    asked = [hashing(data=b"two", correlation_value=value) for value in values]
    first, second = both.batch(1, *asked)
    refused = first if isinstance(first, OperationFailed) else second
    assert isinstance(refused, OperationFailed)
    assert "another process" in str(refused)


def test_tickets_of_a_message_that_is_handed_over_are_counted_once(both: Processes) -> None:
    """Only the process that carries the message out counts it."""
    start = hashing(data=b"one", init_indicator=True)
    value = both.ask(1, start).correlation_value
    ticket = ticket_of(both, 1, request_count=2)
    for _ in range(2):
        [result] = with_ticket(both, 2, ticket, hashing(data=b"two", correlation_value=value))
        assert not isinstance(result, OperationFailed), result
    [result] = with_ticket(both, 2, ticket, CREATE)
    assert result.reason.name == "USAGE_LIMIT_EXCEEDED"
