"""A history of requests has the same answers, whether one process gives them all or several in turn.

A loss: whatever one process remembers and another does not, such as a ticket that was withdrawn.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_server.engine.hooks import Permissions, Quotas
from kmipkit_server.identity import blocks
from kmipkit_server.identity.blocks import Block
from kmipkit_server.policy import versions
from kmipkit_server.store.base import Transaction
from kmipkit_server.store.revision import set_shared
from kmipkit_server.tenants.book import read_book, write_book
from kmipkit_server.tenants.tenant import Tenant
from processes import Processes, processes

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.codec import encode
from kmipkit.model.credentials import Credential, TicketCredential
from kmipkit.model.payloads.asynchronous import CancelRequest, PollRequest
from kmipkit.model.payloads.crypto import HashRequest
from kmipkit.model.payloads.limits import Constraint, Constraints, SetConstraintsRequest
from kmipkit.model.payloads.session import LoginRequest, LogoutRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    BlockCipherMode,
    CredentialType,
    CryptographicAlgorithm,
    HashingAlgorithm,
    Operation,
    UsageLimitsUnit,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
CTR = CryptographicParameters(block_cipher_mode=BlockCipherMode.CTR)
SHA_256 = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
LIMITED = Attributes.of(
    (
        Tag.USAGE_LIMITS,
        UsageLimits(
            usage_limits_total=48, usage_limits_count=48, usage_limits_unit=UsageLimitsUnit.BYTE
        ),
    )
)
ONLY_256 = Constraints(
    constraints=(Constraint(attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 256))),)
)
QUOTA = 6


class Step(NamedTuple):
    """One step of a history."""

    action: str
    process: int
    """Which process does it; in the history of one process, the only one."""
    which: int
    """Which of the earlier results it is about."""
    account: str


@dataclass
class History:
    """A history as it takes place: what it has made so far, and what the answers were."""

    processes: Processes
    count: int
    keys: list[str] = field(default_factory=list)
    tickets: list[Any] = field(default_factory=list)
    pending: list[bytes] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    answers: list[tuple[str, ...]] = field(default_factory=list)

    async def take(self, step: Step) -> None:
        """Take a step."""
        answer = await ACTIONS[step.action](self, step)
        self.answers.append((step.action, *answer))

    async def ask(self, step: Step, *asked: Any, **options: Any) -> list[Any]:
        """The results of a message; in the place of each refusal, its error."""
        asynchronous = options.pop("asynchronous", False)
        request = messages.request(V2_1, asked, options.pop("credential", None))
        if asynchronous:
            header = request.request_header.replace(
                asynchronous_indicator=AsynchronousIndicator.MANDATORY
            )
            request = request.replace(request_header=header)
        number = step.process % self.count + 1
        identity = options.pop("identity", step.account)
        response = await self.processes.respond(number, encode(request, V2_1), identity)
        if asynchronous or options.pop("raw", False):
            return list(response.batch_items)
        return messages.results(asked, response)

    async def change(self, step: Step, work: Callable[[Transaction], Any]) -> None:
        """Change the store as an administrator does."""
        store = self.processes.all[step.process % self.count].store
        await store.run(work, writes=True)


def outcome(result: Any) -> str:
    """What a result means, without what differs between two histories."""
    if isinstance(result, OperationFailed):
        return result.reason.name if result.reason else "failed"
    return "ok"


def chosen(values: list[Any], which: int) -> Any:
    return values[which % len(values)] if values else None


Action = Callable[[History, Step], Awaitable[tuple[str, ...]]]


async def _create(history: History, step: Step) -> tuple[str, ...]:
    create = calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, LIMITED)
    [made] = await history.ask(step, create)
    if isinstance(made, str):
        history.keys.append(made)
    return (outcome(made),)


def _on_key(call: Callable[[str], Any]) -> Action:
    async def action(history: History, step: Step) -> tuple[str, ...]:
        key = chosen(history.keys, step.which) or "no such key"
        [result] = await history.ask(step, call(key))
        return (outcome(result),)

    return action


async def _locate(history: History, step: Step) -> tuple[str, ...]:
    [result] = await history.ask(step, calls.locate(None, None, None, None, None, None))
    return (outcome(result), str(len(getattr(result, "ids", ()))))


async def _login(history: History, step: Step) -> tuple[str, ...]:
    count = (None, 1, 2)[step.which % 3]
    request = LoginRequest(request_count=count, lease_time=60)
    [result] = await history.ask(step, calls.raw(Operation.LOGIN, request))
    if not isinstance(result, OperationFailed):
        history.tickets.append(result.ticket)
    return (outcome(result),)


async def _use_ticket(history: History, step: Step) -> tuple[str, ...]:
    ticket = chosen(history.tickets, step.which)
    if ticket is None:
        return ()
    credential = Credential(
        credential_type=CredentialType.TICKET, credential_value=TicketCredential(ticket=ticket)
    )
    [result] = await history.ask(step, calls.query(()), credential=credential, identity="holder")
    return (outcome(result),)


async def _logout(history: History, step: Step) -> tuple[str, ...]:
    ticket = chosen(history.tickets, step.which)
    if ticket is None:
        return ()
    [result] = await history.ask(step, calls.raw(Operation.LOGOUT, LogoutRequest(ticket=ticket)))
    return (outcome(result),)


async def _put_off(history: History, step: Step) -> tuple[str, ...]:
    create = calls.create(CryptographicAlgorithm.AES, 256, BOTH, None, None)
    return await _asynchronous(history, step, create)


async def _put_off_part(history: History, step: Step) -> tuple[str, ...]:
    return await _asynchronous(history, step, _part(history, step))


async def _asynchronous(history: History, step: Step, call: Any) -> tuple[str, ...]:
    [item] = await history.ask(step, call, asynchronous=True)
    if item.asynchronous_correlation_value:
        history.pending.append(item.asynchronous_correlation_value)
    return (str(item.result_status), str(item.result_reason))


async def _poll(history: History, step: Step) -> tuple[str, ...]:
    value = chosen(history.pending, step.which)
    if value is None:
        return ()
    request = PollRequest(asynchronous_correlation_value=value)
    [item] = await history.ask(step, calls.raw(Operation.POLL, request), raw=True)
    made = getattr(item.response_payload, "unique_identifier", None)
    if isinstance(made, str) and made not in history.keys:
        history.keys.append(made)
    data = _note_part(history, item.response_payload)
    return (str(item.operation), str(item.result_status), str(item.result_reason), data)


async def _cancel(history: History, step: Step) -> tuple[str, ...]:
    value = chosen(history.pending, step.which)
    if value is None:
        return ()
    request = CancelRequest(asynchronous_correlation_value=value)
    [result] = await history.ask(step, calls.raw(Operation.CANCEL, request))
    return (outcome(result), str(getattr(result, "cancellation_result", "")))


def _part(history: History, step: Step) -> Any:
    """One part of a hash: the first one, the last one, or one between."""
    value = chosen(history.parts, step.which)
    begins, ends = value is None or step.which % 4 == 0, step.which % 4 == 3
    request = HashRequest(
        cryptographic_parameters=SHA_256,
        data=b"part",
        init_indicator=True if begins else None,
        correlation_value=None if begins else value,
        final_indicator=True if ends and not begins else None,
    )
    return calls.raw(Operation.HASH, request)


def _note_part(history: History, result: Any) -> str:
    """Note how to go on with a hash; the hash if it is complete."""
    value = getattr(result, "correlation_value", None)
    if value is not None and value not in history.parts:
        history.parts.append(value)
    data = getattr(result, "data", None)
    return "" if data is None else str(data.hex())


async def _hash(history: History, step: Step) -> tuple[str, ...]:
    [result] = await history.ask(step, _part(history, step))
    return (outcome(result), _note_part(history, result))


def _set_block(*, is_blocked: bool) -> Action:
    async def action(history: History, step: Step) -> tuple[str, ...]:
        def work(transaction: Transaction) -> None:
            blocked = blocks.read(transaction)
            blocked.pop(step.account, None)
            if is_blocked:
                blocked[step.account] = Block(history.processes.now, "administrator")
            set_shared(transaction, blocks.SETTING, blocks.pack(blocked))

        await history.change(step, work)
        return ()

    return action


async def _policy(history: History, step: Step) -> tuple[str, ...]:
    text = ('[rules.x]\ndeny = "get"', "", '[rules.x]\ndeny = "create"')[step.which % 3]
    now = history.processes.now
    await history.change(step, lambda store: versions.apply(store, text, author="", now=now))
    return ()


async def _counted(history: History, step: Step) -> tuple[str, ...]:
    text = '[rules.r]\nrequire = "get"\ncount = { times = 2, per = "day" }'
    now = history.processes.now
    await history.change(step, lambda store: versions.apply(store, text, author="", now=now))
    return ()


async def _constraints(history: History, step: Step) -> tuple[str, ...]:
    constraints = ONLY_256 if step.which % 2 else Constraints()
    request = calls.raw(Operation.SET_CONSTRAINTS, SetConstraintsRequest(constraints=constraints))
    [result] = await history.ask(step, request, identity="administrator")
    return (outcome(result),)


async def _tenants(history: History, step: Step) -> tuple[str, ...]:
    def work(transaction: Transaction) -> None:
        book, now = read_book(transaction), history.processes.now
        tenants = (
            book.without_tenant("acme")
            if book.find("acme")
            else book.with_tenant(Tenant("acme", accounts=("you",)))
        )
        write_book(transaction, tenants, now=now, by="", change="")

    await history.change(step, work)
    return ()


async def _pass_time(history: History, step: Step) -> tuple[str, ...]:
    history.processes.pass_time(seconds=(1, 30, 61, 700)[step.which % 4])
    return ()


ACTIONS: dict[str, Action] = {
    "create": _create,
    "get": _on_key(lambda key: calls.get(key, None, None, None)),
    "activate": _on_key(calls.activate),
    "encrypt": _on_key(lambda key: calls.encrypt(key, bytes(16), CTR, bytes(16))),
    "revoke": _on_key(calls.revoke),
    "destroy": _on_key(calls.destroy),
    "locate": _locate,
    "login": _login,
    "use ticket": _use_ticket,
    "logout": _logout,
    "put off": _put_off,
    "put off part": _put_off_part,
    "poll": _poll,
    "cancel": _cancel,
    "hash": _hash,
    "block": _set_block(is_blocked=True),
    "unblock": _set_block(is_blocked=False),
    "policy": _policy,
    "counted": _counted,
    "constraints": _constraints,
    "tenants": _tenants,
    "pass time": _pass_time,
}

STEPS = st.builds(
    Step,
    st.sampled_from(sorted(ACTIONS)),
    st.integers(0, 2),
    st.integers(0, 11),
    st.sampled_from(["me", "me", "you"]),
)


def play(steps: list[Step], count: int) -> list[tuple[str, ...]]:
    """The answers to a history by so many processes."""
    hooks = (Permissions(), Quotas(QUOTA, None))
    with (
        TemporaryDirectory() as folder,
        processes(Path(folder) / "data", count, hooks=hooks, delay=20) as opened,
    ):
        history = History(opened, count)

        async def work() -> None:
            for step in steps:
                await history.take(step)

        opened.run(work)
        return history.answers


def test_every_action_is_taken() -> None:
    """And it does something: the two histories below would be equal if all were refused."""
    steps = [
        Step(action, number, which, "me")
        for action in ("create", "activate", "get", "encrypt", "login", "use ticket", "hash")
        for number, which in ((0, 0), (1, 1))
    ]
    answers = play(steps, 2)
    assert [answer[1] for answer in answers] == ["ok"] * len(steps)


@given(st.lists(STEPS, min_size=4, max_size=25))
@settings(max_examples=15, deadline=None)
def test_several_processes_answer_like_one(steps: list[Step]) -> None:
    assert play(steps, 3) == play(steps, 1)


@pytest.mark.long
@given(st.lists(STEPS, min_size=10, max_size=80))
@settings(max_examples=300, deadline=None)
def test_several_processes_answer_like_one_for_long(steps: list[Step]) -> None:
    assert play(steps, 3) == play(steps, 1)
