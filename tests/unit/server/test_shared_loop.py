"""Long work on the event loop: it gives way, takes turns, and rests while others ask."""

import pytest
import trio
from kmipkit_server.fairness.shared_loop import (
    ACCOUNTS,
    LONGEST_REST,
    MEMORY,
    RESOLUTION,
    SharedLoop,
    shared_loop,
)
from virtual_loop import VirtualLoop

MILLISECOND = 0.001


@pytest.fixture
def loop() -> VirtualLoop:
    return VirtualLoop()


async def slices(loop: VirtualLoop, account: str, number: int, each: float) -> None:
    """Long work that takes so many slices."""
    for _ in range(number):
        loop.work(each)
        await loop.shared.give_way(account, each)


def test_work_does_not_rest_if_nobody_else_asks(loop: VirtualLoop) -> None:
    """A client that loads keys at night would otherwise take twice as long for nothing."""

    async def test() -> None:
        loop.ask("bulk")
        await slices(loop, "bulk", 1, MILLISECOND)
        loop.rests.clear()  # nobody knows what was asked before
        for _ in range(20):
            loop.ask("bulk")  # also on other connections of the account
            await slices(loop, "bulk", 1, 3 * MILLISECOND)
        assert loop.rests == []

    loop.run(test)


def test_work_rests_as_long_as_it_has_used_while_others_ask(loop: VirtualLoop) -> None:
    """A client that sends a request after each answer would otherwise find it occupied each time."""

    async def test() -> None:
        for _ in range(20):
            loop.ask("other")
            await slices(loop, "bulk", 1, 3 * MILLISECOND)
        assert sum(loop.rests) == pytest.approx(60 * MILLISECOND, abs=RESOLUTION)

    loop.run(test)


def test_short_rests_are_added_up(loop: VirtualLoop) -> None:
    """The loop cannot sleep for a part of a millisecond: it would rest three times as long."""

    async def test() -> None:
        for _ in range(100):
            loop.ask("other")
            await slices(loop, "bulk", 1, 0.3 * MILLISECOND)
        assert sum(loop.rests) == pytest.approx(30 * MILLISECOND, abs=RESOLUTION)
        assert min(loop.rests) >= RESOLUTION
        assert len(loop.rests) < 31

    loop.run(test)


def test_a_rest_has_an_end(loop: VirtualLoop) -> None:
    """Work that took a second, for whatever reason, must not keep its client waiting for another one."""

    async def test() -> None:
        loop.ask("other")
        await slices(loop, "bulk", 1, 1.0)
        assert loop.rests == [pytest.approx(LONGEST_REST)]

    loop.run(test)


def test_those_who_have_arrived_go_first(loop: VirtualLoop) -> None:
    order: list[str] = []

    async def arrive() -> None:
        order.append("arrived")

    async def test() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(arrive)
            await slices(loop, "bulk", 1, MILLISECOND)
            order.append("bulk")
        assert order == ["arrived", "bulk"]

    for _ in range(10):  # trio runs what is ready in any order
        order.clear()
        loop.run(test)


def test_one_slice_runs_at_a_time_however_many_connections_have_long_work(
    loop: VirtualLoop,
) -> None:
    """A hundred connections of one client would otherwise run a hundred slices at a time."""
    passes: list[int] = []

    async def connection() -> None:
        loop.work(MILLISECOND)
        for _ in range(5):
            await loop.shared.give_way("bulk", MILLISECOND)
            passes.append(loop.passes)

    async def test() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(connection)
        assert len(passes) == len(set(passes)) == 500

    loop.run(test)


def test_the_account_that_has_used_least_goes_on_first(loop: VirtualLoop) -> None:
    """A client with a hundred connections would otherwise get a hundred times as much."""
    order: list[str] = []

    async def connection(account: str, number: int) -> None:
        for _ in range(number):
            loop.work(MILLISECOND)
            await loop.shared.give_way(account, MILLISECOND)
            order.append(account)

    async def test() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(connection, "many", 20)
            nursery.start_soon(connection, "one", 100)
        at = [place for place, account in enumerate(order) if account == "one"]
        assert len(at) == 100
        assert at[-1] < 250, "it has had half of the turns"

    loop.run(test)


@pytest.mark.parametrize("number", [0, 1, 4], ids=["gives way", "waits", "waits as the last one"])
def test_work_that_nobody_waits_for_any_longer_stops_nothing(
    loop: VirtualLoop, number: int
) -> None:
    """A client that hangs up would otherwise leave all long work waiting for ever."""
    done: list[int] = []

    async def connection(own: int, scope: trio.CancelScope) -> None:
        with scope:
            await slices(loop, f"account {own}", 3, MILLISECOND)
            done.append(own)

    async def test() -> None:
        scopes = [trio.CancelScope() for _ in range(5)]
        async with trio.open_nursery() as nursery:
            for own, scope in enumerate(scopes):
                nursery.start_soon(connection, own, scope)
                await trio.lowlevel.checkpoint()
            scopes[number].cancel()
        assert sorted(done) == [own for own in range(5) if own != number]
        await slices(loop, "a later one", 3, MILLISECOND)

    loop.run(test)


def test_a_long_answer_is_paid_for_by_the_next_request(loop: VirtualLoop) -> None:
    """A client could otherwise hold the loop with many large requests of one item each."""

    async def test() -> None:
        shared = loop.shared
        shared.owe("bulk", 0.5 * RESOLUTION)
        shared.owe("", 1.0)
        assert not shared.debts, "short answers are free, and so is the server's own work"
        shared.owe("bulk", 2 * MILLISECOND)
        shared.owe("bulk", 3 * MILLISECOND)
        assert shared.debts
        loop.ask("other")
        await shared.settle("other")
        assert loop.rests == []
        await shared.settle("bulk")
        assert loop.rests == [pytest.approx(5 * MILLISECOND)]
        assert not shared.debts

    loop.run(test)


def test_whoever_has_used_little_does_not_wait(loop: VirtualLoop) -> None:
    """A request that takes a moment longer, now and then, must not wait for those who always do so."""

    async def test() -> None:
        await slices(loop, "bulk", 1000, MILLISECOND)
        loop.ask("other")
        for _ in range(10):
            loop.shared.owe("modest", 2 * MILLISECOND)
            begun = loop.passes
            await loop.shared.settle("modest")
            assert loop.passes == begun
        for _ in range(10):
            loop.shared.owe("modest", 2 * MILLISECOND)
            await loop.shared.settle("modest")
        assert loop.passes > begun, "it is not modest any longer"

    loop.run(test)


def test_accounts_that_have_used_little_are_forgotten(loop: VirtualLoop) -> None:
    """The memory of a server must not grow with all the accounts that it has had."""

    async def test() -> None:
        for number in range(3 * ACCOUNTS):
            await slices(loop, f"account {number}", 1, MILLISECOND)
            await slices(loop, "bulk", 1, MILLISECOND)
        assert len(loop.shared._used) <= ACCOUNTS + 1

    loop.run(test)


def test_others_are_remembered_for_a_moment(loop: VirtualLoop) -> None:
    """What runs at a stretch cannot see who comes meanwhile."""

    async def test() -> None:
        shared = loop.shared
        await shared.hand_over("bulk")
        assert not shared.is_asked_by_others
        loop.ask("other")
        assert shared.is_asked_by_others
        await shared.hand_over("bulk")
        assert shared.is_asked_by_others
        loop.work(2 * MEMORY)
        assert not shared.is_asked_by_others

    loop.run(test)


def test_each_event_loop_has_its_own() -> None:
    """Two servers in one process, as in tests, have nothing to share."""

    async def get() -> SharedLoop:
        assert shared_loop() is shared_loop()
        return shared_loop()

    assert trio.run(get) is not trio.run(get)
