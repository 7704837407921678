"""The manager of the databases: it must never promote what lacks acknowledged changes, nor let two
primaries serve at the same time. Otherwise the drill would blame servers for what it has lost itself."""

from typing import Any

import psycopg
import pytest

from drill.manager import FAILURES, Manager


class FakeDisk:
    is_full = False


class FakeDatabase:
    """What the manager sees of a machine, and what it has done to it."""

    def __init__(self, name: str, done: list[str]) -> None:
        self.name = name
        self.disk = FakeDisk()
        self.works = True
        self.has_synchronous = True
        self.is_unreachable = False
        self._done = done

    def answers(self) -> bool:
        return self.works

    def has_synchronous_replica(self) -> bool:
        return self.has_synchronous

    def require_replica(self, required: bool) -> None:
        if self.is_unreachable:
            raise psycopg.OperationalError("away")
        self._done.append(f"{self.name} waits: {required}")

    def __getattr__(self, action: str) -> Any:
        return lambda *_: self._done.append(f"{action} {self.name}")


class Scene:
    def __init__(self) -> None:
        self.done: list[str] = []
        self.primary = FakeDatabase("db1", self.done)
        self.replica = FakeDatabase("db2", self.done)
        self.manager = Manager(self.primary, self.replica, lambda text: None)  # type: ignore[arg-type]

    def look(self, times: int = FAILURES) -> list[str]:
        for _ in range(times):
            self.manager._look()
        return self.done


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_old_primary_is_ended_before_the_new_one_serves(scene: Scene) -> None:
    scene.primary.works = False
    assert scene.look() == ["kill db1", "promote db2"]
    assert scene.manager.primary is scene.replica  # type: ignore[comparison-overlap]
    assert not scene.manager.has_replica


def test_one_missed_look_is_no_failure(scene: Scene) -> None:
    scene.primary.works = False
    assert scene.look(FAILURES - 1) == []
    scene.primary.works = True
    assert scene.look(1) == []
    scene.primary.works = False
    assert scene.look(FAILURES - 1) == []


def test_a_full_disk_is_a_failure(scene: Scene) -> None:
    scene.primary.disk.is_full = True
    assert scene.look() == ["kill db1", "promote db2"]


def test_a_replica_that_was_given_up_is_not_promoted(scene: Scene) -> None:
    scene.primary.has_synchronous = False
    assert scene.look() == ["db1 waits: False"]
    scene.primary.works = False
    assert scene.look(5 * FAILURES) == ["db1 waits: False"]


def test_a_replica_counts_as_incomplete_before_commits_stop_waiting(scene: Scene) -> None:
    """In the other order, a change could be acknowledged that a promotion then loses."""
    scene.primary.has_synchronous = False
    scene.primary.is_unreachable = True
    with pytest.raises(psycopg.Error):
        scene.look()
    assert not scene.manager.has_replica
    scene.primary.is_unreachable = False
    assert scene.look(1) == ["db1 waits: False"], "it is tried again"


def test_a_new_replica_counts_when_it_is_complete(scene: Scene) -> None:
    scene.primary.works = False
    scene.look()
    scene.done.clear()
    scene.manager.rebuild()
    assert scene.done == ["clone db1", "wait_for_replica db2"]
    assert scene.manager.has_replica
