"""govc, unmodified, with the Web Services API of a whole laboratory."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from vsphere_scene import ADMINISTRATOR
from web_lab import WebLab

pytestmark = pytest.mark.standard

TIMEOUT = 120.0
PROJECT = Path(__file__).resolve().parents[2]

Run = Callable[..., str]


@pytest.fixture
def run(govc: Path, lab: WebLab) -> Run:
    def run(*words: str, exits: int = 0, **environment: str) -> str:
        process = subprocess.run(
            [str(govc), *words],
            env={"HOME": str(govc.parent), **lab.govc(**environment)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert process.returncode == exits, process.stderr
        return process.stdout + process.stderr

    return run


def test_about(run: Run) -> None:
    assert "API version:  8.0.3.0" in run("about")


def test_ls(run: Run) -> None:
    assert run("ls", "/Laboratory/vm").splitlines() == [
        "/Laboratory/vm/finance",
        "/Laboratory/vm/db1",
    ]


def test_find(run: Run) -> None:
    assert run("find", "/", "-type", "m").splitlines() == [
        "/Laboratory/vm/finance/Büro 7",
        "/Laboratory/vm/db1",
    ]
    assert run("find", "/", "-type", "h").splitlines() == [
        "/Laboratory/host/Rechenzentrum/esx02",
        "/Laboratory/host/esx01/esx01",
    ]


def test_datacenter_info(run: Run) -> None:
    text = run("datacenter.info")
    assert "Hosts:             2" in text
    assert "Virtual Machines:  2" in text


def test_host_info(run: Run) -> None:
    text = run("host.info", "/Laboratory/host/Rechenzentrum/esx02")
    assert "State:           connected" in text


def test_machine_info(run: Run) -> None:
    text = run("vm.info", "-r", "-e", "-t", "Büro 7")
    assert "Power state:          poweredOff" in text
    assert "Storage:              esx02-datastore" in text


def test_all_of_a_machine(run: Run) -> None:
    [machine] = json.loads(run("vm.info", "-json", "db1"))["virtualMachines"]
    assert machine["config"]["keyId"]["providerId"] == {"id": "KMS"}
    assert machine["runtime"]["cryptoState"] == "unlocked"
    _, disk = machine["config"]["hardware"]["device"]
    assert disk["backing"]["keyId"] == machine["config"]["keyId"]
    assert disk["capacityInBytes"] == 16384


def test_devices(run: Run) -> None:
    assert "disk-1000-0" in run("device.ls", "-vm", "db1")


def test_sessions(run: Run) -> None:
    assert ADMINISTRATOR in run("session.ls")


def test_collect(run: Run) -> None:
    assert run("object.collect", "-s", "/Laboratory/vm/db1", "name") == "db1\n"


def test_roles_and_permissions(run: Run) -> None:
    assert "NoCryptoAdmin" in run("role.ls")
    assert ADMINISTRATOR in run("permissions.ls", "/")


def test_tasks(run: Run) -> None:
    assert "Task" in run("tasks")


@pytest.mark.parametrize(
    "words",
    [
        ("tree", "/"),
        ("folder.info", "/Laboratory/vm/finance"),
        ("datastore.info",),
        ("cluster.usage", "Rechenzentrum"),
        ("device.info", "-vm", "db1"),
        ("host.info", "-json", "esx01"),
        ("ls", "-l", "-i", "/Laboratory/host/*"),
        ("object.collect", "-json", "/Laboratory/host/esx01/esx01"),
    ],
)
def test_commands_that_read(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words)


PLACE = ("-ds", "esx01-datastore", "-host", "/Laboratory/host/esx01/esx01")


def test_snapshots(run: Run) -> None:
    names = ("vor dem Umbau", "danach")
    for name in names:
        run("snapshot.create", "-vm", "db1", "-d", "wegen des Umbaus", name)
    assert run("snapshot.tree", "-vm", "db1", "-d") == (
        "vor dem Umbau - wegen des Umbaus\n  danach - wegen des Umbaus\n  . - wegen des Umbaus\n"
    )
    run("snapshot.revert", "-vm", "db1", names[0])
    assert run("snapshot.tree", "-vm", "db1", "-C").strip() == names[0]
    run("snapshot.revert", "-vm", "db1")
    run("vm.clone", "-vm", "db1", "-snapshot", names[0], "-link", "-on=false", *PLACE, "verknüpft")
    run("vm.destroy", "verknüpft")
    run("snapshot.remove", "-vm", "db1", names[1])
    assert run("snapshot.tree", "-vm", "db1").split("\n")[0] == names[0]
    run("snapshot.remove", "-vm", "db1", "*")
    assert run("snapshot.tree", "-vm", "db1") == ""


def test_a_wrong_password(run: Run) -> None:
    text = run("about", "-l", exits=1, GOVC_PASSWORD="falsch geraten")
    assert "incorrect user name or password" in text


def test_a_session_is_kept_and_begun_again(run: Run, lab: WebLab, tmp_path: Path) -> None:
    kept = {"GOVC_PERSIST_SESSION": "true", "GOVMOMI_HOME": str(tmp_path)}
    run("ls", **kept)
    before = lab.endpoint.sessions.all()
    run("ls", **kept)
    assert lab.endpoint.sessions.all() == before
    for session in before:
        lab.endpoint.sessions.end(session.key)
    run("ls", **kept)
    assert len(lab.endpoint.sessions.all()) == 1


# What differs from run to run.
VARYING = ((r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),)


def test_the_transcript_of_the_page(run: Run) -> None:
    """docs/vsphere.md shows what govc prints for this laboratory."""
    page = (PROJECT / "docs" / "vsphere.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = r"^\$ govc (.*)\n((?:(?!\$ ).*\n)*)"
    for command, shown in re.findall(lines, blocks[0], re.MULTILINE):
        printed = run(*shlex.split(command))
        for pattern, instead in VARYING:
            printed = re.sub(pattern, instead, printed)
        assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines(), command
