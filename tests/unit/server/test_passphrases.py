"""Root keys from passphrases: Argon2id as others compute it, and a salt that a restored copy has."""

import os
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault import secrets
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.kinds import open_vault, parse
from kmipkit_server.vault.passphrase import Cost, Parameters, derive
from stored_objects import insert, record

PASSPHRASE = b"correct horse battery staple"
CHEAP = "?memory=1&passes=1&lanes=1"


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_remembered", {})


# "password" and "somesalt", version 19: from src/test.c of the reference implementation (phc-
# winner-argon2).
VECTORS = ((64, 2, 1, "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"),)


@pytest.mark.parametrize(("memory", "passes", "lanes", "expected"), VECTORS)
def test_the_root_key_is_argon2id_of_the_passphrase(
    memory: int, passes: int, lanes: int, expected: str
) -> None:
    """Another program computes the same root key, if this one is not at hand."""
    parameters = Parameters(b"somesalt", Cost(memory, passes, lanes))
    assert derive(b"password", parameters).hex() == expected


def test_the_library_computes_the_vector_of_the_standard() -> None:
    """RFC 9106 §5.3, which needs a secret and associated data that root keys do not have."""
    tag = Argon2id(
        salt=bytes([2] * 16), length=32, iterations=3, lanes=4, memory_cost=32,
        ad=bytes([4] * 12), secret=bytes([3] * 8),
    ).derive(bytes([1] * 32))  # fmt: skip
    assert tag.hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


def test_the_default_cost_is_what_the_standard_recommends() -> None:
    """RFC 9106 §4: "the second recommended option", for machines that do more than this."""
    assert Cost() == Cost(memory=64, passes=3, lanes=4)


def passphrase_file(folder: Path, text: bytes = PASSPHRASE) -> Path:
    path = folder / "passphrase"
    path.touch(0o600)
    path.write_bytes(text)
    return path


def opened(folder: Path, uri: str, **options: Any) -> SQLiteDatabase:
    vault = open_vault(parse(uri, folder), folder / "counter", **options)
    return SQLiteDatabase.open(folder / "db", vault)


def test_a_restored_copy_needs_the_passphrase_only(tmp_path: Path) -> None:
    """The salt and the cost are in the database: another cost in the configuration changes nothing."""
    file = passphrase_file(tmp_path)
    with closing(opened(tmp_path, f"passphrase:file={file}{CHEAP}")) as store:
        insert(store, record())
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "db").write_bytes((tmp_path / "db").read_bytes())
    with closing(opened(copy, f"passphrase:file={file}")) as store:
        assert store.reader.get("id-1") is not None


def test_two_stores_with_one_passphrase_have_two_root_keys(tmp_path: Path) -> None:
    """One guess must not try a passphrase for all of an organization's servers."""
    uri = parse(f"passphrase:file={passphrase_file(tmp_path)}{CHEAP}", tmp_path)
    first, second = (open_vault(uri, tmp_path / "counter") for _ in range(2))
    assert first.identifier != second.identifier
    assert first.parameters != second.parameters


def test_a_wrong_passphrase_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, f"passphrase:file={passphrase_file(tmp_path)}{CHEAP}").close()
    passphrase_file(tmp_path, b"correct horse battery stable")
    with pytest.raises(
        StoreError, match=r"the passphrase from file .* is not the one of this data"
    ):
        opened(tmp_path, f"passphrase:file={tmp_path / 'passphrase'}{CHEAP}")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\nmore lines"])
def test_a_line_end_is_no_part_of_it(tmp_path: Path, end: bytes) -> None:
    """Most editors add one."""
    uri = f"passphrase:file={passphrase_file(tmp_path)}{CHEAP}"
    opened(tmp_path, uri).close()
    passphrase_file(tmp_path, PASSPHRASE + end)
    opened(tmp_path, uri).close()


def test_it_comes_from_a_file_descriptor_once_and_is_remembered(tmp_path: Path) -> None:
    """A daemon gets it from whoever starts it, and opens the store more than once."""
    read, write = os.pipe()
    uri = f"passphrase:fd={read}{CHEAP}"

    def send() -> None:
        os.write(write, PASSPHRASE + b"\n")
        os.close(write)

    sender = threading.Thread(target=send)
    sender.start()
    opened(tmp_path, uri).close()
    sender.join()
    opened(tmp_path, uri).close()
    os.close(read)
    assert list(secrets.remembered().values()) == [PASSPHRASE]


def test_it_comes_from_the_environment_and_from_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSPHRASE", PASSPHRASE.decode())
    opened(tmp_path, f"passphrase:env=PASSPHRASE{CHEAP}").close()
    passphrase_file(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    opened(tmp_path, f"passphrase:credential=passphrase{CHEAP}").close()


class Terminal:
    """What somebody enters, and what was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def getpass(self, question: str) -> str:
        self.questions.append(question)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


def at_terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> Terminal:
    terminal = Terminal(*answers)
    monkeypatch.setattr("getpass.getpass", terminal.getpass)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    return terminal


def test_a_new_passphrase_is_asked_for_twice_without_echo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could open the store if it was mistyped."""
    terminal = at_terminal(monkeypatch, "a long one", "a long one", "a long one")
    opened(tmp_path, f"passphrase:{CHEAP}", may_create=True).close()
    assert terminal.questions == ["Passphrase of the root key: ", "Again: "]
    monkeypatch.setattr(secrets, "_remembered", {})
    opened(tmp_path, "passphrase:").close()
    assert terminal.questions[2:] == ["Passphrase of the root key: "]


def test_two_different_answers_make_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_terminal(monkeypatch, "a long one", "a lone one")
    with pytest.raises(VaultError, match="the two answers differ"):
        opened(tmp_path, f"passphrase:{CHEAP}", may_create=True)
    assert not (tmp_path / "db").exists()


def test_parameters_that_would_take_all_memory_are_refused(tmp_path: Path) -> None:
    """Whoever can write the database must not stop the whole machine with it."""
    vault = open_vault(
        parse(f"passphrase:file={passphrase_file(tmp_path)}", tmp_path), tmp_path / "counter"
    )
    huge = '{"salt":"c29tZXNhbHRzb21lc2FsdA==","cost":{"memory":999999,"passes":3,"lanes":4}}'
    assert not vault.fits("0" * 16, huge)
    for other in ("", "{}", "[]", "AES_KEY_WRAP_PAD", '{"salt":"","cost":{}}'):
        assert not vault.fits("0" * 16, other)
