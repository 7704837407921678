"""Passwords of users: how they are stored, who may set them, and how guessing is slowed."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_vsphere.model.errors import InvalidArgument, NoPermission, NotFound
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.vcenter import passwords
from kmipkit_vsphere.vcenter.passwords import Passwords, hash_password
from kmipkit_vsphere.vcenter.store import Store
from trio.testing import MockClock
from vsphere_scene import Scene, play

RIGHT = "ein gutes Paßwort"


@pytest.fixture(autouse=True)
def work(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Hashes that cost nothing, and which were computed."""
    computed: list[bytes] = []

    def cheap(password: bytes, salt: bytes) -> bytes:
        computed.append(password)
        return (salt + password).ljust(32)[:48]

    monkeypatch.setattr(passwords, "_scrypt", cheap)
    return computed


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "vcenter.sqlite3")
    store.users.set_password("ada", hash_password(Secret(RIGHT.encode())))
    yield store
    store.close()


def run(test: Callable[[], Awaitable[None]]) -> float:
    """Run a test on a clock that jumps; the seconds that passed on it."""

    async def timed() -> float:
        start = trio.current_time()
        await test()
        return trio.current_time() - start

    return trio.run(timed, clock=MockClock(autojump_threshold=0.05))


def test_only_the_right_password_of_a_known_user(store: Store, work: list[bytes]) -> None:
    async def test() -> None:
        checker = Passwords(store)
        assert await checker.is_correct("ada", RIGHT, "192.0.2.1")
        assert not await checker.is_correct("ada", RIGHT.upper(), "192.0.2.1")
        assert not await checker.is_correct("eva", RIGHT, "192.0.2.1")
        assert len(work) == 4, "the same work for a user who does not exist"

    run(test)


def test_guessing_becomes_slower_and_slower(store: Store) -> None:
    async def guess(times: int) -> None:
        checker = Passwords(store)
        for number in range(times):
            assert not await checker.is_correct("ada", f"falsch {number}", "192.0.2.1")

    durations = [run(lambda times=times: guess(times)) for times in (3, 4, 5, 13)]  # type: ignore[misc]
    assert durations[0] == pytest.approx(0, abs=0.3)
    assert durations[1] >= 1
    assert durations[2] - durations[1] >= 2 * durations[1] * 0.9
    assert durations[3] > 200


def test_a_guesser_slows_down_others_a_little_only(store: Store) -> None:
    """The user can still log in from elsewhere, and other users from the same address."""

    async def test() -> None:
        checker = Passwords(store)
        for number in range(12):
            assert not await checker.is_correct("ada", f"falsch {number}", "192.0.2.1")
        start = trio.current_time()
        assert await checker.is_correct("ada", RIGHT, "192.0.2.2")
        assert trio.current_time() - start <= passwords._MAX_USER_DELAY + 1
        start = trio.current_time()
        assert await checker.is_correct("ada", RIGHT, "192.0.2.2")
        assert trio.current_time() - start < 1, "a success ends the delay of the user"

    run(test)


def test_a_flood_is_refused_without_work(store: Store, work: list[bytes]) -> None:
    async def test() -> None:
        checker = Passwords(store)
        results: list[bool] = []

        async def attempt(number: int) -> None:
            results.append(await checker.is_correct(f"user {number}", "falsch", "192.0.2.1"))

        work.clear()
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(attempt, number)
        assert results == [False] * 100
        assert len(work) == passwords._MAX_WAITING

    run(test)


def test_failures_are_forgotten_after_a_while_and_never_too_many(store: Store) -> None:
    async def test() -> None:
        checker = Passwords(store)
        for number in range(6):
            await checker.is_correct(f"user {number}", "falsch", f"192.0.2.{number}")
        assert len(checker._attempts) == 12
        await trio.sleep(passwords._FORGET_AFTER + 1)
        await checker.is_correct("ada", RIGHT, "192.0.2.1")
        assert len(checker._attempts) == 2

    run(test)


@pytest.mark.parametrize("password", ["", "kurz", "x" * 1025, "ä" * 600])
def test_passwords_that_are_too_short_or_too_long(password: str) -> None:
    with pytest.raises(InvalidArgument):
        hash_password(Secret(password.encode())) if password else hash_password(Secret(b" "))


def test_the_store_has_neither_password_nor_equal_hashes(store: Store, tmp_path: Path) -> None:
    store.users.set_password("eva", hash_password(Secret(RIGHT.encode())))
    ada, eva = store.users.password("ada"), store.users.password("eva")
    assert ada is not None
    assert eva is not None
    assert ada.salt != eva.salt
    assert ada.hash != eva.hash


def in_scene(tmp_path: Path, test: Callable[[Scene], Awaitable[None]]) -> None:
    play(tmp_path, test).close()


def test_who_may_set_the_password_of_whom(tmp_path: Path) -> None:
    async def refused(scene: Scene, caller: str, user: str) -> None:
        for method, more in (("SetPassword", {"password": RIGHT}), ("RemovePassword", {})):
            with pytest.raises(NoPermission):
                await scene.call(method, caller, user=user, **more)

    async def test(scene: Scene) -> None:
        arguments: dict[str, Any] = {"password": RIGHT}
        await scene.call("SetPermission", principal="ada", role="ReadOnly")
        await scene.call("SetPermission", principal="tom", role="NoCryptoAdmin")
        await scene.call("SetPassword", user="ada", **arguments)
        await scene.call("SetPassword", "ada", user="ada", **arguments)
        await scene.call("SetPassword", "tom", user="ada", **arguments)
        await refused(scene, "ada", "tom")
        # Whoever may set a password can act as that user: nobody gets more rights by that.
        await refused(scene, "tom", "administrator")
        assert await scene.call("ListUsers") == ["ada"]
        await scene.call("RemovePassword", user="ada")
        with pytest.raises(NotFound):
            await scene.call("RemovePassword", user="ada")
        events = await scene.events()
        assert not any(RIGHT in str(event) for event in events)
        texts = " ".join(event["message"] for event in events)
        assert "SetPassword by tom" in texts
        assert "RemovePassword by administrator" in texts

    in_scene(tmp_path, test)
