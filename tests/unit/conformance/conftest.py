"""The server that the tester judges is strict: it refuses what only later versions have."""

from collections.abc import Iterator

import pytest
from servers import ANSWER_TIMEOUT, RunningServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A strict key server that the tests of this folder share."""
    folder = tmp_path_factory.mktemp("strict") / "data"
    running = RunningServer(folder, arguments=["--strict"])
    with pytest.MonkeyPatch.context() as patch:
        # Pairs of RSA keys are made with a low priority, which takes long on a busy machine.
        patch.setenv("KMIPKIT_LIMITS_COMPUTATION_TIMEOUT", f"{ANSWER_TIMEOUT:g}")
        running.start()
    yield running
    running.end()
