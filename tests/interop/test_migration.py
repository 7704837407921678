"""All keys of a PyKMIP server move to ours, over TLS and by the commands, and then both are equal."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_certs import development
from kmipkit_client import Client, material
from kmipkit_client.values import opaque_object, secret_data
from servers import RunningServer

from bench import servers
from kmipkit.cli import main
from kmipkit.spec.enums import CryptographicAlgorithm, RevocationReasonCode, State
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_0

pytest.importorskip("kmip")


@dataclass(frozen=True)
class Peer:
    port: int
    pki: Path

    def files(self) -> dict[str, Path]:
        return {
            "ca": self.pki / "ca.crt",
            "cert": self.pki / "admin.crt",
            "key": self.pki / "admin.key",
        }

    def client(self, version: Any = None) -> Client:
        return Client(port=self.port, version=version, **self.files())


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    pki = tmp_path / "pki"
    development.ensure(
        pki, hosts=("127.0.0.1",), clients=("admin",), clock=lambda: datetime.now(UTC)
    )
    with servers.pykmip(tmp_path, pki) as running:
        yield Peer(running.port, pki)


def furnish(client: Client) -> dict[str, str]:
    """What PyKMIP can store, in the states that it knows."""
    made = {
        name: client.create(name=name)
        for name in ("pre-active", "active", "deactivated", "compromised")
    }
    made["triple"] = client.create(CryptographicAlgorithm.DES3, 192, name="triple")
    made["password"] = client.register(secret_data("correct horse"), name="password")
    made["opaque"] = client.register(opaque_object(b"anything"), name="opaque")
    pair = client.create_key_pair(length=2048, names=("private", "public"))
    made |= {"private": pair.private, "public": pair.public}
    for name in ("active", "deactivated", "compromised"):
        client.activate(made[name])
    client.revoke(made["deactivated"], RevocationReasonCode.CESSATION_OF_OPERATION)
    client.revoke(
        made["compromised"],
        RevocationReasonCode.KEY_COMPROMISE,
        compromise_occurred=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return made


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(V1_0, marks=pytest.mark.long),
        V1_2,
        pytest.param(V1_4, marks=pytest.mark.long),
        V2_0,
    ],
    ids=str,
)
def test_all_keys_of_pykmip_move_and_both_servers_are_equal(
    peer: Peer, own_server: RunningServer, tmp_path: Path, version: Any
) -> None:
    """With their identifiers, names and states; the keys are wrapped by PyKMIP where it can."""
    server = own_server.start()
    with peer.client() as old:
        made = furnish(old)
        keys = {name: material(old.get(identifier)) for name, identifier in made.items()}
    options = [
        *(f"--from-{name}={path}" for name, path in peer.files().items()),
        *(f"--{name}={path}" for name, path in server.credentials().items()),
        *("--from", f"127.0.0.1:{peer.port}", "--server", f"127.0.0.1:{server.port}"),
        *("--from-kmip", version, "--json"),
    ]
    journal, page = tmp_path / "journal", tmp_path / "page.html"
    result = json.loads(
        run("admin", "migrate", *options, "--journal", journal, "--report", f"html:{page}")
    )
    entries = {each["id"]: each for each in result["objects"]}
    assert set(entries) == set(made.values())
    assert all(each["to"] == each["id"] for each in entries.values())
    notes = {(note["what"]) for each in entries.values() for note in each["notes"]}
    assert notes <= {"Operation Policy Name"}
    if version >= V1_2:
        assert entries[made["active"]]["protection"] == "end to end"
    with server.client() as new:
        for name, identifier in made.items():
            assert material(new.get(identifier)) == keys[name], name
        states = {name: new.get_attributes(made[name]).get(Tag.STATE) for name in made}
    assert states["active"] is State.ACTIVE
    assert states["pre-active"] is State.PRE_ACTIVE
    assert states["deactivated"] is State.DEACTIVATED
    assert states["compromised"] is State.COMPROMISED
    compared = json.loads(run("admin", "compare", *options, "--journal", journal))
    assert compared["outcomes"] == {"equal": len(made)}, compared
    assert "correct horse" not in page.read_text() + journal.read_text()
    assert made["active"] in page.read_text()


def test_ours_move_to_a_pykmip_server(
    peer: Peer, own_server: RunningServer, tmp_path: Path
) -> None:
    """The way back is free: it has no Import, so that copies get new identifiers."""
    server = own_server.start()
    with server.client() as old:
        made = furnish(old)
        keys = {name: material(old.get(identifier)) for name, identifier in made.items()}
    options = [
        *(f"--from-{name}={path}" for name, path in server.credentials().items()),
        *(f"--{name}={path}" for name, path in peer.files().items()),
        *("--from", f"127.0.0.1:{server.port}", "--server", f"127.0.0.1:{peer.port}"),
    ]
    journal = tmp_path / "journal"
    result = json.loads(run("admin", "migrate", *options, "--journal", journal, "--json"))
    entries = {each["id"]: each for each in result["objects"]}
    assert all(entries[identifier]["to"] for identifier in made.values())
    with peer.client() as new:
        for name, identifier in made.items():
            assert material(new.get(entries[identifier]["to"])) == keys[name], name
        state = new.get_attributes(entries[made["compromised"]]["to"]).get(Tag.STATE)
    assert state is State.COMPROMISED
    shutil.copy(journal, tmp_path / "again")
    again = json.loads(run("admin", "migrate", *options, "--journal", tmp_path / "again", "--json"))
    assert again["objects"] == result["objects"]
