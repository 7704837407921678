"""kill -9 of each process in the middle of a long re-encryption: the machine is never lost."""

import contextlib
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.calls.guest import MAX_READ, ReadDisk, WriteDisk
from kmipkit_vsphere.demo.laboratory import GUEST, HOST, Laboratory
from kmipkit_vsphere.demo.processes import Process, Processes
from kmipkit_vsphere.demo.runbooks import Loss
from kmipkit_vsphere.demo.story import MACHINE, PLAIN, wait_for
from kmipkit_vsphere.model.errors import VSphereError
from kmipkit_vsphere.vcenter.calls.events import QueryEvents
from kmipkit_vsphere.vcenter.calls.hosts import ReconnectHost
from kmipkit_vsphere.vcenter.calls.machines import MigrateVM, PowerOffVM, PowerOnVM, RecryptVM
from kmipkit_vsphere.vcenter.calls.snapshots import (
    ConsolidateDisks,
    CreateSnapshot,
    RemoveAllSnapshots,
)

DISK = 80 * 1024 * 1024
"""More than one checkpoint."""


class Killing(Loss):
    """A machine with a disk that takes a while."""

    disk_size = DISK

    def run(self) -> None:
        """Only its beginning is needed."""
        self.begin()

    def recrypt(self) -> threading.Thread:
        """Begin to re-encrypt in the background; errors are expected."""

        def work() -> None:
            with contextlib.suppress(VSphereError):
                self.call(self.vcenter, RecryptVM(MACHINE, deep=True))

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def await_progress(self, fraction: float, thread: threading.Thread) -> None:
        """Until so much of the new data is there, or the re-encryption is over."""
        new = self.disk().with_name(self.disk().name + ".new")
        while thread.is_alive():
            with contextlib.suppress(FileNotFoundError):
                if new.stat().st_size >= fraction * DISK:
                    return
            thread.join(0.002)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("killing")
    with Processes() as processes:
        made = Killing(Laboratory(folder), processes, lambda _text: None)
        made.run()
        yield made
    shutil.rmtree(folder, ignore_errors=True)


LONG = [pytest.param(fraction, marks=pytest.mark.long) for fraction in (0.01, 0.25, 0.75, 0.95)]


@pytest.mark.parametrize("fraction", [0.5, *LONG])
@pytest.mark.parametrize("which", ["host", "vcenter", "kms"])
def test_a_killed_process_loses_no_machine(stage: Killing, which: str, fraction: float) -> None:
    thread = stage.recrypt()
    stage.await_progress(fraction, thread)
    victim: Process = getattr(stage, which)
    victim.kill()
    thread.join()
    victim.start()
    reconnect = ReconnectHost(HOST, *stage.host.address)
    # A host whose vCenter was killed continues with what it was asked to do: wait for that.
    wait_for("the host is connected", lambda: stage.call(stage.vcenter, reconnect))
    wait_for("the host has unlocked the machine", lambda: stage.read(stage.host))
    stage.call(stage.vcenter, RecryptVM(MACHINE, deep=True))
    stage.read(stage.host)
    files = {path.suffix for path in stage.disk().parent.iterdir()}
    assert files == {".vmx", ".nvram", ".vmdk"}, "nothing half done is left"
    assert PLAIN[:32] not in stage.disk().read_bytes()


def test_a_machine_moves_between_two_host_processes_and_back(stage: Killing) -> None:
    stage.lab.add_role("esx02")
    other = stage.start("host esx02", stage.lab.host_command("esx02"))
    stage.add_host(stage.vcenter, other, "esx02")
    stage.call(stage.vcenter, PowerOnVM(MACHINE))
    info = stage.call(stage.vcenter, MigrateVM(MACHINE, "esx02"))
    assert (info.crypto_state, info.power_state) == ("unlocked", "poweredOn")
    stage.read(other, name="esx02")
    assert not stage.disk().exists()
    assert PLAIN[:32] not in stage.disk(host="esx02").read_bytes()
    stage.call(stage.vcenter, MigrateVM(MACHINE, HOST))
    stage.read(stage.host)
    stage.call(stage.vcenter, PowerOffVM(MACHINE))


LAYER = 4 * 1024 * 1024


def test_a_host_that_is_killed_while_it_merges_layers_loses_nothing(stage: Killing) -> None:
    before = {path.name for path in stage.disk().parent.iterdir()}
    stage.call(stage.vcenter, CreateSnapshot(MACHINE, "before"))
    for offset in range(0, LAYER, MAX_READ):
        data = offset.to_bytes(8, "big") * (MAX_READ // 8)
        stage.ask(stage.host, HOST, GUEST, WriteDisk(MACHINE, LAYER + offset, data))
    vmx = stage.disk().with_name(f"{MACHINE}.vmx")

    def work() -> None:
        with contextlib.suppress(VSphereError):
            stage.call(stage.vcenter, RemoveAllSnapshots(MACHINE))

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive() and "snapshot.merging" not in vmx.read_text():
        thread.join(0.001)
    stage.host.kill()
    thread.join()
    stage.host.start()
    reconnect = ReconnectHost(HOST, *stage.host.address)
    wait_for("the host is connected", lambda: stage.call(stage.vcenter, reconnect))
    wait_for("the host has unlocked the machine", lambda: stage.read(stage.host))
    for _ in range(2):
        for offset in range(0, LAYER, MAX_READ):
            read = ReadDisk(MACHINE, LAYER + offset, 8)
            assert stage.ask(stage.host, HOST, GUEST, read) == offset.to_bytes(8, "big")
        tree = stage.call(stage.vcenter, ConsolidateDisks(MACHINE))
    assert (len(tree.layers), tree.snapshots, tree.consolidation_needed) == (1, [], False)
    assert {path.name for path in stage.disk().parent.iterdir()} == before, "nothing is left"


def test_the_store_of_vcenter_is_whole(stage: Killing) -> None:
    events = stage.call(stage.vcenter, QueryEvents())
    assert events, "its chain is unbroken"
    assert Path(stage.disk()).stat().st_size == DISK
