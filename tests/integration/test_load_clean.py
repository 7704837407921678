"""What a load run leaves on a server: nothing, whenever it is interrupted; and what can be found and
destroyed after a run that was killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_client import calls
from kmipkit_load import cleanup, finding, results
from kmipkit_load.cli import bench
from kmipkit_load.encoding import Encoding
from kmipkit_load.interrupts import Interrupts
from kmipkit_load.mixes import of_operation
from kmipkit_load.network import Sockets
from kmipkit_load.settings import Settings
from kmipkit_load.source import Objects
from kmipkit_load.target import Target
from servers import RunningServer

from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.versions import V1_0, V2_1

IDENTITY = "load-clean"
QUICK = ("--warm-up", "0", "--objects", "2", "--connections", "4")
KEY = CryptographicAlgorithm.AES, 128


@pytest.fixture
def options(server: RunningServer) -> Iterator[list[str]]:
    """The options for the shared server; a key of the account that is not a run's must survive."""
    files = server.credentials(IDENTITY)
    target = ["--server", f"127.0.0.1:{server.port}"]
    with server.client(IDENTITY) as kms:
        kept = kms.create(*KEY, name="kept")
        yield [*target, *(part for name in files for part in (f"--{name}", str(files[name])))]
        assert kms.locate().ids == (kept,)
        kms.destroy(kept)


def invoke(command: str, options: list[str], *more: str, code: int = 0) -> str:
    result = CliRunner().invoke(bench, [command, *options, *more])
    assert result.exit_code == code, result.output
    return result.output


def test_what_a_killed_run_has_left_is_found_and_destroyed(
    server: RunningServer, options: list[str]
) -> None:
    arguments = ["bench", "run", *options, *QUICK, "--duration", "600", "--mix", "create"]
    with subprocess.Popen(
        [sys.executable, "-m", "kmipkit", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        with server.client(IDENTITY) as kms:
            while len(kms.locate().ids) < 20:
                assert process.poll() is None
        process.kill()
    run = said.partition("kmipkit-load-")[2].partition("-")[0]
    for more in ((), ("--kmip", "1.0"), ("--encoding", "json")):
        [listed, *others] = invoke("clean", options, *more).splitlines()
        assert listed.startswith(f"{run}  ")
        assert others == []
    assert invoke("clean", options, "another") == "There is nothing to destroy.\n"
    assert "objects destroyed." in invoke("clean", options, run)
    assert invoke("clean", options) == "No run has left anything here.\n"


@pytest.mark.parametrize("version", [V1_0, V2_1], ids=str)
def test_a_server_that_ignores_criteria_loses_no_other_object(
    server: RunningServer, options: list[str], version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Locate that finds everything would have all keys of the account destroyed."""
    locate = calls.locate
    monkeypatch.setattr(finding.calls, "locate", lambda *_: locate())
    files = server.credentials(IDENTITY)
    target = Target("127.0.0.1", server.port, files["ca"], files["cert"], files["key"])
    settings = Settings("r", target, of_operation("create"), version, Encoding())
    with server.client(IDENTITY) as kms:
        kms.create(*KEY, name="kmipkit-load-r-0-0000000007")
    objects = Objects()
    objects.uncertain = ["kmipkit-load-r-0-0000000007", "kmipkit-load-r-0-0000000008"]
    with Sockets(target) as network:
        removal = cleanup.clean(network, settings, objects, lambda *_: None, Interrupts())
    assert removal == cleanup.Removal(1, {})


def interrupt(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_while_processes_start_ends_the_run(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was ignored then, so that the run went on to its end."""
    start = resource_tracker.ensure_running
    monkeypatch.setattr(resource_tracker, "ensure_running", lambda: (interrupt(), start()))
    output = invoke("run", options, *QUICK, "--duration", "600", code=130)
    assert "Cleaned up: 2 objects destroyed." in output


def test_ctrl_c_at_the_end_loses_no_result(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = results.document

    def interrupted(*arguments: Any) -> dict[str, Any]:
        interrupt()
        return document(*arguments)

    monkeypatch.setattr(results, "document", interrupted)
    assert "requests/s" in invoke("run", options, *QUICK, "--requests", "5")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_it_is_taken_or_may_raise(number: int) -> None:
    with Interrupts() as interrupts:
        for _ in range(3):
            os.kill(os.getpid(), number)
        assert interrupts.take()
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt), interrupts.raising():
                pass
        assert not interrupts.take()
        with pytest.raises(KeyboardInterrupt), interrupts.raising():
            os.kill(os.getpid(), number)
        with interrupts.raising():
            pass
    assert signal.getsignal(number) is not interrupts._come


def test_ctrl_c_stays_ignored_for_a_job_in_the_background() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            interrupt()
            assert not interrupts.take()
    finally:
        signal.signal(signal.SIGINT, before)
