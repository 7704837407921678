"""Several processes on one store: what one of them changes holds for all of them at once.

A loss: a second node goes on giving out a destroyed key, lets a blocked account in, counts a ticket of
one use twice, or carries out a request a second time.
"""

from typing import Any

import pytest
import trio
import trio.testing
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_server.engine.asynchronous import LEASE
from kmipkit_server.engine.exchange import AdmitAgain
from kmipkit_server.engine.hooks import Permissions, Quotas
from kmipkit_server.engine.seam import Seam
from kmipkit_server.engine.sightings import AllSightings
from kmipkit_server.identity import blocks, shared_guesses
from kmipkit_server.identity.blocks import Block
from kmipkit_server.identity.guessing import FREE_FAILURES
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.once import Use
from kmipkit_server.identity.shared_guesses import SharedGuesses
from kmipkit_server.identity.shared_sightings import exchange
from kmipkit_server.identity.sightings import SeenCertificate
from kmipkit_server.policy import versions
from kmipkit_server.store.base import Transaction
from kmipkit_server.store.revision import set_shared
from kmipkit_server.store.sealing import OBJECTS_PER_KEY
from kmipkit_server.tenants.book import write_book
from kmipkit_server.tenants.tenant import Tenant
from processes import Processes, change, reason

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.payloads.limits import Constraint, Constraints, SetConstraintsRequest
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.model.payloads.session import LoginRequest
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    HashingAlgorithm,
    ObjectGroupMember,
    Operation,
    RevocationReasonCode,
    UsageLimitsUnit,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1
from kmipkit.ttlv.tree import Item

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
CREATE = calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, None)
LOGIN = calls.raw(Operation.LOGIN, LoginRequest())
SHA_256 = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
CTR = CryptographicParameters(block_cipher_mode=BlockCipherMode.CTR)


def get(identifier: str) -> Any:
    return calls.get(identifier, None, None, None)


# --- objects ---------------------------------------------------------------------------------------


def test_a_peer_gives_out_no_key_that_was_destroyed(both: Processes) -> None:
    """Its answer was prepared when the key still existed."""
    key = both.ask(1, CREATE)
    for _ in range(3):
        assert both.ask(2, get(key)).key_block
    assert len(both.all[1].dispatcher.prepared) == 1
    both.ask(1, calls.destroy(key))
    assert reason(both, 2, get(key)) == "OBJECT_DESTROYED"


def test_a_peer_uses_no_key_that_was_revoked(both: Processes) -> None:
    key = both.ask(1, CREATE)
    both.ask(1, calls.activate(key))
    encrypt = calls.encrypt(key, b"data", CTR, bytes(16))
    both.ask(2, encrypt)
    both.ask(1, calls.revoke(key, RevocationReasonCode.KEY_COMPROMISE))
    assert reason(both, 2, encrypt) == "WRONG_KEY_LIFECYCLE_STATE"


def test_processes_open_what_the_others_have_sealed(both: Processes) -> None:
    """Each has data keys of its own, of which none gets a number twice, even if it was deleted."""

    async def work() -> None:
        async def ask(number: int, call: Any) -> Any:
            response = await both.respond(number, encoded(call))
            [result] = messages.results((call,), response)
            assert not isinstance(result, OperationFailed), result
            return result

        first = [await ask(1, CREATE) for _ in range(3)]
        for key in first:
            await ask(2, get(key))  # the data key of 1 is in the memory of 2
            await ask(2, calls.destroy(key))  # and deleted with the last object
        keys = [await ask(1 + number % 2, CREATE) for number in range(OBJECTS_PER_KEY + 8)]
        for number, key in enumerate(keys):
            assert (await ask(2 - number % 2, get(key))).key_block

    both.run(work)


def encoded(call: Any) -> bytes:
    from kmipkit.model.codec import encode

    return encode(messages.request(V2_1, [call]), V2_1)


def test_a_key_that_vanishes_while_it_is_read_is_read_again(both: Processes) -> None:
    """Its row was read, and then a peer has destroyed it, with its data key."""
    key, tries = both.ask(1, CREATE), 0

    def read(reader: Any) -> bool:
        nonlocal tries
        record, tries = reader.get(key), tries + 1
        if tries == 1:
            database = both.all[0].store._database  # type: ignore[attr-defined]  # SQLite
            transaction = database.begin()
            new = record.replace(material=None, attributes=record.attributes)
            transaction.update(record, new)
            database.commit()
        return record.material is None

    both.all[1].store._database._sealer._keys.clear()  # type: ignore[attr-defined]  # SQLite
    assert both.run(lambda: both.all[1].store.run(read)) is True
    assert tries == 2


def test_a_quota_counts_what_all_processes_have_stored(both: Processes) -> None:
    for process in both.all:
        process.dispatcher.seam = Seam((Permissions(), Quotas(3, None)))
    keys = [both.ask(number, CREATE) for number in (1, 2, 1)]
    for number in (1, 2):
        assert reason(both, number, CREATE) == "SERVER_LIMIT_EXCEEDED"
    both.ask(2, calls.destroy(keys[0]))
    assert reason(both, 1, CREATE) == ""
    assert reason(both, 2, CREATE) == "SERVER_LIMIT_EXCEEDED"


def test_usage_limits_of_a_key_are_used_up_together(both: Processes) -> None:
    limits = UsageLimits(
        usage_limits_total=32, usage_limits_count=32, usage_limits_unit=UsageLimitsUnit.BYTE
    )
    attributes = Attributes.of((Tag.USAGE_LIMITS, limits))
    key = both.ask(1, calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, attributes))
    both.ask(1, calls.activate(key))
    encrypt = calls.encrypt(key, bytes(16), CTR, bytes(16))
    assert [reason(both, number, encrypt) for number in (1, 2, 1, 2)] == ["", "", *LIMITED]


LIMITED = ["PERMISSION_DENIED"] * 2


# --- state in memory -------------------------------------------------------------------------------


def test_a_blocked_account_is_refused_by_all(both: Processes) -> None:
    """Also by a process that has never heard of any blocked account."""
    key = both.ask(1, CREATE)
    for number in (1, 2):
        assert reason(both, number, get(key)) == ""

    def block(transaction: Transaction) -> None:
        value = blocks.pack({"me": Block(both.now, "administrator")})
        set_shared(transaction, blocks.SETTING, value)

    change(both, 1, block)
    for call in (get(key), CREATE, calls.query(())):
        assert reason(both, 2, call) == "PERMISSION_DENIED"
    change(both, 1, lambda transaction: set_shared(transaction, blocks.SETTING, b"{}"))
    assert reason(both, 2, get(key)) == ""


def test_a_policy_applies_in_all(both: Processes) -> None:
    key = both.ask(1, CREATE)
    assert reason(both, 2, get(key)) == ""
    deny = '[rules.x]\ndeny = "get"'
    change(both, 1, lambda store: versions.apply(store, deny, author="", now=both.now))
    assert reason(both, 2, get(key)) == "PERMISSION_DENIED"


def test_constraints_apply_in_all(both: Processes) -> None:
    rule = Constraint(attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 256)))
    request = SetConstraintsRequest(constraints=Constraints(constraints=(rule,)))
    assert reason(both, 2, CREATE) == ""
    both.ask(1, calls.raw(Operation.SET_CONSTRAINTS, request), identity="administrator")
    assert reason(both, 2, CREATE) == "CONSTRAINT_VIOLATION"


def test_a_tenant_takes_over_the_connections_of_all(both: Processes) -> None:
    """The client of an open connection must not create objects outside its tenant any longer."""
    dispatcher = both.all[1].dispatcher

    def tenants(transaction: Transaction) -> None:
        acme = Tenant("acme", accounts=("me",))
        write_book(transaction, (acme,), now=both.now, by="", change="")

    async def work() -> None:
        connection = await dispatcher.admit(Identity("me"))
        await dispatcher.respond(encoded(CREATE), connection)
        await both.all[0].store.run(tenants, writes=True)
        await dispatcher.respond(encoded(CREATE), connection)

    with pytest.raises(AdmitAgain):
        both.run(work)
    assert both.run(lambda: dispatcher.admit(Identity("me"))).name == "tenant:acme:me"


def test_a_block_of_the_account_that_a_client_had_does_not_follow_it_into_a_tenant(
    both: Processes,
) -> None:
    """One of the histories of tests/property/test_processes.py."""
    assert reason(both, 2, CREATE) == ""

    def both_changes(transaction: Transaction) -> None:
        packed = blocks.pack({"me": Block(both.now, "administrator")})
        set_shared(transaction, blocks.SETTING, packed)
        acme = Tenant("acme", accounts=("me",))
        write_book(transaction, (acme,), now=both.now, by="", change="")

    change(both, 1, both_changes)
    assert reason(both, 2, CREATE) == ""


def test_a_change_at_every_moment_ends_no_request(both: Processes) -> None:
    """A request runs again with each change; it must not take the changes for its own failure."""
    key = both.ask(1, CREATE)
    for number in range(20):
        change(both, 1, lambda store: set_shared(store, blocks.SETTING, b"{}"))
        assert reason(both, 2, get(key)) == ""
        assert reason(both, 2 - number % 2, CREATE) == ""


# --- passwords and groups --------------------------------------------------------------------------


def guesses_of(both: Processes, number: int) -> SharedGuesses:
    store = both.all[number - 1].store
    return SharedGuesses(clock=lambda: both.now.timestamp() + trio.current_time(), store=store)


def playing(both: Processes, work: Any) -> float:
    """The seconds that work takes, with a clock that jumps when everybody waits."""

    async def whole() -> float:
        async with both.serving():
            begin = trio.current_time()
            await work()
            return trio.current_time() - begin

    return trio.run(whole, clock=trio.testing.MockClock(autojump_threshold=0.05))


def test_guesses_in_several_processes_wait_for_each_other(both: Processes) -> None:
    """With each process, an attacker could try as many passwords again."""
    each = [guesses_of(both, number) for number in (1, 2)]

    async def work() -> None:
        for number in range(FREE_FAILURES + 4):
            guesses = each[number % 2]
            await guesses.wait("ada", "192.0.2.1")
            await guesses.note("ada", "192.0.2.1", is_correct=False)

    assert playing(both, work) >= 0.5 + 1 + 2


def test_guesses_for_many_users_do_not_hide_those_for_one(
    both: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who fills the table must not guess without delay from then on."""
    monkeypatch.setattr(shared_guesses, "MAX_ENTRIES", 16)
    guesses = guesses_of(both, 1)

    async def work() -> None:
        for number in range(16):
            await guesses.note(f"nobody{number}", f"192.0.2.{number}", is_correct=False)
        await trio.sleep(1)
        for number in range(FREE_FAILURES + 3):
            await guesses.wait("ada", f"203.0.113.{number}")
            await guesses.note("ada", f"203.0.113.{number}", is_correct=False)
            await guesses.note(f"no one{number}", f"198.51.100.{number}", is_correct=False)

    assert playing(both, work) >= 1 + 0.5 + 1
    assert len(both.all[0].entries(shared_guesses.FAILURES)) <= 16


def test_a_known_address_does_not_wait_in_any_process(both: Processes) -> None:
    """An attacker must not shut the user out."""
    one, other = (guesses_of(both, number) for number in (1, 2))

    async def work() -> None:
        await one.wait("ada", "198.51.100.7")
        await one.note("ada", "198.51.100.7", is_correct=True)
        for _ in range(FREE_FAILURES):
            await one.note("ada", "192.0.2.1", is_correct=False)
        await other.wait("ada", "198.51.100.7")

    assert playing(both, work) < 0.5


def test_correct_logins_write_once(both: Processes) -> None:
    """Or each request with a password would cost a commit."""
    guesses = guesses_of(both, 1)
    counters = both.all[0].store.figures.writer

    async def work() -> None:
        for _ in range(3):
            await guesses.wait("ada", "198.51.100.7")
            await guesses.note("ada", "198.51.100.7", is_correct=True)

    playing(both, work)
    assert counters.commits == 1


def test_a_credential_for_one_use_is_used_in_one_process(both: Processes) -> None:
    """Whoever has seen a one-time password could use it again in another process."""
    each = [process.dispatcher.accounts.once for process in both.all]

    async def work() -> list[bool]:
        return [
            await each[place].use(Use("interval x", "ada", number), both.now, LEASE)
            for place, number in ((0, 5), (1, 5), (1, 4), (1, 6), (0, 6))
        ]

    assert both.run(work) == [True, False, False, True, False]
    both.kill(1)
    both.restart(1)
    again = both.all[0].dispatcher.accounts.once
    assert not both.run(lambda: again.use(Use("interval x", "ada", 6), both.now, LEASE))


def test_the_default_member_of_a_group_is_each_in_turn_whichever_process_is_asked(
    both: Processes,
) -> None:
    group = Attributes.of((Tag.OBJECT_GROUP, "g"))
    create = calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, group)
    keys = [both.ask(1, create) for _ in range(3)]
    value = Item(Tag.OBJECT_GROUP, ItemType.TEXT_STRING, "g")
    request = LocateRequest(
        object_group_member=ObjectGroupMember.GROUP_MEMBER_DEFAULT,
        attributes=Attributes((Attribute(Tag.OBJECT_GROUP, value),)),
    )
    locate = calls.raw(Operation.LOCATE, request)
    found = [both.ask(number, locate).unique_identifiers[0] for number in (1, 2, 2, 1)]
    assert found == [*keys, keys[0]]


# --- who has connected -----------------------------------------------------------------------------


def test_processes_know_who_has_connected_to_others(both: Processes) -> None:
    """Or nobody is warned of a certificate that ends, of a client that is connected elsewhere."""
    one, other = (process.state.sightings for process in both.all)
    ends = both.now.replace(microsecond=0)
    certificate = SeenCertificate("1", "aa" * 32, ends, both.now)

    async def work() -> None:
        stores = [process.store for process in both.all]
        one.note(Identity("ada"), both.now)
        other.note(Identity("bob"), both.now)
        seen = one.of("ada")
        assert seen is not None
        seen.certificates[bytes.fromhex(certificate.fingerprint)] = certificate
        for store, sightings in zip(stores, (one, other), strict=True):
            await exchange(store, sightings)
        await exchange(stores[0], one)

    both.run(work)
    assert set(one.accounts) == set(other.accounts) == {"ada", "bob"}
    assert [each.account for each in other.ending(both.now)] == ["ada"]
    assert both.run(lambda: exchange(both.all[0].store, one)) is None


def test_an_administrator_sees_at_once_who_has_connected_to_other_processes(
    both: Processes,
) -> None:
    """Through the store, it would be a minute later: also if the other one has just stored it."""
    one, other = (process.state.sightings for process in both.all)
    known, _ = (
        AllSightings(process.state.sightings, process.dispatcher.peers, lambda: both.now)
        for process in both.all
    )

    async def work() -> None:
        other.note(Identity("bob"), both.now)
        await known.refresh()
        assert set(one.accounts) == {"bob"}
        other.note(Identity("eve"), both.now)
        await exchange(both.all[1].store, other)
        await known.refresh()
        assert set(one.accounts) == {"bob", "eve"}

    both.run(work)
