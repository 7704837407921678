"""The server asks the system for as many open files as it has connections, and says if it gets fewer."""

import logging
import resource

import pytest
from kmipkit_server.net import open_files
from kmipkit_server.net.open_files import OTHER_FILES, permit_connections


class System:
    """The limits of a process, and a system that may refuse to raise them."""

    def __init__(self, soft: int, hard: int, *, refuses: bool = False) -> None:
        self.limits = (soft, hard)
        self._refuses = refuses

    def getrlimit(self, _: int) -> tuple[int, int]:
        return self.limits

    def setrlimit(self, _: int, limits: tuple[int, int]) -> None:
        if self._refuses:
            raise ValueError("not permitted")
        self.limits = limits


@pytest.fixture
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> System:
    made: System = request.param
    monkeypatch.setattr(open_files.resource, "getrlimit", made.getrlimit)
    monkeypatch.setattr(open_files.resource, "setrlimit", made.setrlimit)
    return made


NEEDED = 2000 + OTHER_FILES


@pytest.mark.parametrize(
    ("system", "soft", "warns"),
    [
        (System(1024, 4096), NEEDED, False),
        (System(1024, resource.RLIM_INFINITY), NEEDED, False),
        (System(8192, 8192), 8192, False),
        (System(resource.RLIM_INFINITY, resource.RLIM_INFINITY), resource.RLIM_INFINITY, False),
        (System(1024, 1024), 1024, True),
        (System(256, 1024), 1024, True),
        (System(1024, 4096, refuses=True), 1024, True),
    ],
    indirect=["system"],
)
def test_the_limit_of_open_files(
    system: System, soft: int, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """With the usual 1,024, the 2,000 connections of the configuration would be an empty promise."""
    with caplog.at_level(logging.WARNING, logger="kmipkit.server"):
        permit_connections(2000)
    assert system.limits[0] == soft
    assert ("limits.connections = 2000" in caplog.text) is warns
