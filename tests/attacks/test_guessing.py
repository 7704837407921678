"""Guessing passwords is slow, tells nothing about who exists, and shuts nobody out."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from kmipkit_client import calls, messages
from kmipkit_server.identity.guessing import (
    FORGET_AFTER,
    FREE_FAILURES,
    MAX_DELAY,
    MAX_ENTRIES,
    MAX_WAIT,
    Guesses,
)
from laboratory import Laboratory

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.model.payloads.accounts import CreateUserRequest
from kmipkit.spec.enums import CredentialType, NameType, Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, V3_0


def play(test: Callable[[Guesses], Awaitable[Any]]) -> float:
    """Run a test with a clock that jumps when everybody waits; the seconds that it took."""

    async def work() -> float:
        begin = trio.current_time()
        await test(Guesses(trio.current_time))
        return trio.current_time() - begin

    return trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))


async def guess(guesses: Guesses, user: str = "backup", address: str = "192.0.2.1") -> None:
    await guesses.wait(user, address)
    guesses.failed(user, address)


async def many(guesses: Guesses, number: int, user: str = "u{}", address: str = "a{}") -> None:
    for n in range(number):
        await guess(guesses, user.format(n), address.format(n))


def test_a_few_mistakes_cost_nothing() -> None:
    assert play(lambda guesses: many(guesses, FREE_FAILURES, "backup", "192.0.2.1")) == 0


@pytest.mark.parametrize(
    ("user", "address"), [("backup", "a{}"), ("u{}", "192.0.2.1")], ids=["one user", "one address"]
)
def test_a_thousand_guesses_take_hours(user: str, address: str) -> None:
    """A password of a dictionary would be found in minutes."""
    taken = play(lambda guesses: many(guesses, 1000, user, address))
    assert taken > 900 * MAX_DELAY


def test_guesses_at_the_same_time_wait_for_each_other_or_are_refused() -> None:
    async def test(guesses: Guesses) -> None:
        refused = 0

        async def attempt() -> None:
            nonlocal refused
            try:
                await guess(guesses)
            except OperationError:
                refused += 1

        await many(guesses, 10, "backup", "192.0.2.1")
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(attempt)
        assert refused > 90

    assert play(test) < 10 * MAX_DELAY + 2 * MAX_WAIT


def test_a_user_is_not_shut_out_by_the_guesses_of_others() -> None:
    async def test(guesses: Guesses) -> None:
        guesses.succeeded("backup", "198.51.100.7")
        await many(guesses, 20, "backup", "192.0.2.1")
        begin = trio.current_time()
        await guesses.wait("backup", "198.51.100.7")
        assert trio.current_time() == begin

    play(test)


def test_failures_are_forgotten() -> None:
    async def test(guesses: Guesses) -> None:
        await many(guesses, 20, "backup", "192.0.2.1")
        await trio.sleep(FORGET_AFTER + MAX_DELAY)
        begin = trio.current_time()
        await guesses.wait("backup", "192.0.2.1")
        assert trio.current_time() == begin

    play(test)


def test_guesses_of_many_names_take_no_memory() -> None:
    async def test(guesses: Guesses) -> None:
        for n in range(2 * MAX_ENTRIES):
            guesses.failed(f"u{n}", f"a{n}")
            guesses.succeeded(f"u{n}", f"a{n}")
        assert len(guesses._failures) <= MAX_ENTRIES
        assert len(guesses._correct) <= MAX_ENTRIES

    play(test)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path)
    laboratory.dispatcher.accounts.is_lenient = True
    yield laboratory
    laboratory.close()


def result(laboratory: Laboratory, name: str, identity: str = "me") -> str:
    """What a query with a user name and a wrong password ends with."""
    credential = Credential(
        credential_type=CredentialType.USERNAME_AND_PASSWORD,
        credential_value=UsernameAndPassword(username=name, password="wrong"),
    )
    request = messages.request(V2_1, [calls.query(())], credential)
    [item] = laboratory.send(request, V2_1, identity).batch_items
    return item.result_message or "success"


def test_development_certificates_tell_nothing_about_who_exists(laboratory: Laboratory) -> None:
    """Clients that always send credentials work until there are users; then all names are alike."""
    assert result(laboratory, "backup") == "success"
    name = Name(name_value="backup", name_type=NameType.UNINTERPRETED_TEXT_STRING)
    request = CreateUserRequest(attributes=Attributes.of((Tag.NAME, name)))
    laboratory.ask(calls.raw(Operation.CREATE_USER, request), V3_0, "administrator")
    refusals = {result(laboratory, user) for user in ("backup", "nobody", "administrator")}
    assert refusals == {"the credentials are not those of a user"}
    assert result(laboratory, "administrator", "administrator") == "success"
