"""Every kind of root key: where it is used, and what a server says that cannot have it."""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault import secrets
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.kinds import KINDS, create_root_key, open_vault, parse
from stored_objects import insert, is_same, record
from tokens import Token, needs_softhsm

CHEAP = "?memory=1&passes=1&lanes=1"
DIGITS = bytes(range(32)).hex()
OTHER = bytes(range(1, 33)).hex()

Change = Callable[["Scene"], object]


@dataclass
class Scene:
    """A folder with what the root keys need."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    token: Token | None = None

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.touch(0o600)
        path.chmod(0o600)
        path.write_text(text)
        path.chmod(mode)
        return path

    def set(self, variable: str, text: str | None) -> None:
        if text is None:
            self.monkeypatch.delenv(variable, raising=False)
        else:
            self.monkeypatch.setenv(variable, text)

    def key(self) -> Token:
        assert self.token is not None
        return self.token

    def open(self, uri: str) -> SQLiteDatabase:
        vault = open_vault(parse(uri, self.folder), self.folder / "counter")
        return SQLiteDatabase.open(self.folder / "db", vault)


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(secrets, "_remembered", {})
    made = Scene(tmp_path, monkeypatch)
    if "pkcs11" in request.node.name:
        made.token = request.getfixturevalue("token")
        create_root_key(parse(made.key().uri(), tmp_path))
    made.write("root.key", DIGITS)
    made.write("passphrase", "correct horse")
    made.write("credential", DIGITS)
    made.set("ROOT_KEY", DIGITS)
    made.set("CREDENTIALS_DIRECTORY", str(tmp_path))
    return made


def uri_of(scene: Scene, kind: str) -> str:
    return {
        "file": "file:root.key",
        "passphrase": f"passphrase:file=passphrase{CHEAP}",
        "env": "env:ROOT_KEY",
        "credential": "credential:credential",
        "pkcs11": scene.token.uri() if scene.token else "",
    }[kind]


EACH_KIND = [
    pytest.param(kind, marks=[needs_softhsm] if kind == "pkcs11" else []) for kind in KINDS
]


def first_start(scene: Scene, kind: str) -> str:
    """A store with an object, whose root key is of this kind."""
    uri = uri_of(scene, kind)
    if kind == "file":
        (scene.folder / "root.key").unlink()
        vault = open_vault(parse(uri, scene.folder), scene.folder / "counter", may_create=True)
        with closing(SQLiteDatabase.open(scene.folder / "db", vault)) as store:
            insert(store, record())
        return uri
    with closing(scene.open(uri)) as store:
        insert(store, record())
    return uri


@pytest.mark.parametrize("kind", EACH_KIND)
def test_objects_are_there_after_a_restart(scene: Scene, kind: str) -> None:
    uri = first_start(scene, kind)
    with closing(scene.open(uri)) as store:
        stored = store.reader.get("id-1")
        assert stored is not None
        assert is_same(stored, record())


@pytest.mark.parametrize("kind", EACH_KIND)
def test_opening_a_root_key_changes_nothing(scene: Scene, kind: str) -> None:
    """Several processes open it, and checks do."""
    uri = parse(first_start(scene, kind), scene.folder)
    files = {path: path.read_bytes() for path in scene.folder.iterdir() if path.is_file()}
    vault = open_vault(uri, scene.folder / "counter")
    assert vault.place
    assert files == {path: path.read_bytes() for path in scene.folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("kind", EACH_KIND)
def test_a_root_key_without_its_database_is_an_error(scene: Scene, kind: str) -> None:
    """A database that was lost is restored, and not replaced by an empty one."""
    uri = first_start(scene, kind)
    (scene.folder / "db").unlink()
    with pytest.raises(StoreError, match=r"db is missing or empty, but there is a root key for it"):
        scene.open(uri)


@pytest.mark.parametrize("kind", EACH_KIND)
def test_an_older_copy_of_the_database_is_noticed(
    scene: Scene, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The counter is there for each kind."""
    uri = first_start(scene, kind)
    older = (scene.folder / "db").read_bytes()
    with closing(scene.open(uri)) as store:
        insert(store, record("id-2"))
    (scene.folder / "db").write_bytes(older)
    scene.open(uri).close()
    assert "is older than the database that was last used with this root key" in caplog.text


def write(name: str, text: str, mode: int = 0o600) -> Change:
    return lambda scene: scene.write(name, text, mode)


def remove(name: str) -> Change:
    return lambda scene: (scene.folder / name).unlink()


def put(variable: str, text: str | None) -> Change:
    return lambda scene: scene.set(variable, text)


SYSTEMD = "CREDENTIALS_DIRECTORY"
MODE = r"other users have access to .*; run: chmod 600"
ANOTHER = r"has another root key .*needs root key [0-9a-f]{16}, which was last at "

REFUSALS: Mapping[str, tuple[tuple[str, Change, str], ...]] = {
    "file": (
        ("missing", remove("root.key"), r"the root key .* is missing, .* restore the file"),
        ("another", write("root.key", OTHER), f"{ANOTHER}file:.*root.key"),
        ("another, too", write("root.key", OTHER), "restore the right file"),
        ("open to others", write("root.key", DIGITS, 0o644), MODE),
        ("damaged", write("root.key", DIGITS[:-2]), "has 64 hexadecimal digits; restore"),
    ),
    "passphrase": (
        ("missing", remove("passphrase"), "passphrase does not exist; it must have the passphrase"),
        ("another", write("passphrase", "wrong"), r"is not the one of this .*needs root key"),
        ("empty", write("passphrase", "\n"), "its first line is empty"),
        ("too long", write("passphrase", "x" * 5000), "more than 4096 bytes"),
        ("open to others", write("passphrase", "correct horse", 0o640), MODE),
    ),
    "env": (
        ("missing", put("ROOT_KEY", None), "variable ROOT_KEY .* is not set; set it"),
        ("empty", put("ROOT_KEY", ""), "is not set; set it"),
        ("another", put("ROOT_KEY", OTHER), f"env:ROOT_KEY {ANOTHER}env:ROOT_KEY"),
        ("damaged", put("ROOT_KEY", "secret"), "variable ROOT_KEY does not contain a root key"),
    ),
    "credential": (
        ("no systemd", put(SYSTEMD, None), "give its unit LoadCredential=credential:PATH"),
        ("missing", remove("credential"), "add LoadCredential=credential:PATH to its unit"),
        ("another", write("credential", OTHER), f"credential:credential {ANOTHER}credential:"),
        ("damaged", write("credential", "x"), "credential does not contain a root key"),
    ),
    "pkcs11": (
        ("removed", lambda scene: scene.key().remove(), "no token matches .*insert the token"),
        ("wrong PIN", lambda scene: scene.key().set_pin("0000"), r"refuses the PIN .*before you"),
        (
            "no PIN",
            lambda scene: scene.key().pin_file.unlink(),
            "pin does not exist; it must have the PIN",
        ),
        ("open PIN", lambda scene: scene.key().pin_file.chmod(0o644), MODE),
    ),
}
ROWS = [
    pytest.param(
        kind, *row[1:], id=f"{kind} {row[0]}", marks=[needs_softhsm] if kind == "pkcs11" else []
    )
    for kind, rows in REFUSALS.items()
    for row in rows
]


def test_each_kind_has_refusals() -> None:
    assert REFUSALS.keys() == KINDS.keys()


@pytest.mark.parametrize(("kind", "change", "message"), ROWS)
def test_a_root_key_that_cannot_be_had(
    scene: Scene, kind: str, change: Change, message: str
) -> None:
    """The server does not start, nothing is changed, and the message says what to do."""
    uri = first_start(scene, kind)
    database = (scene.folder / "db").read_bytes()
    change(scene)
    with pytest.raises((VaultError, StoreError), match=message) as caught:
        scene.open(uri)
    text = str(caught.value)
    assert "correct horse" not in text
    assert DIGITS[:16] not in text
    assert OTHER[:16] not in text
    assert (scene.folder / "db").read_bytes() == database


def test_no_terminal_is_an_error_that_names_the_alternatives(scene: Scene) -> None:
    with pytest.raises(
        VaultError, match=r"no terminal to ask for the passphrase .* file descriptor"
    ):
        scene.open("passphrase:")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("file", "pkcs11")])
def test_a_root_key_that_is_made_elsewhere(scene: Scene, kind: str) -> None:
    with pytest.raises(VaultError, match="you"):
        create_root_key(parse(uri_of(scene, kind), scene.folder))


def test_a_new_file_is_for_the_owner_only_and_never_replaced(scene: Scene) -> None:
    uri = parse("file:new.key", scene.folder)
    before = os.umask(0)
    try:
        create_root_key(uri)
    finally:
        os.umask(before)
    path = scene.folder / "new.key"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(VaultError, match=r"new\.key exists already; name another file"):
        create_root_key(uri)


def test_the_same_root_key_elsewhere_needs_no_rotation(scene: Scene) -> None:
    """It is moved into a credential of systemd, for example: what identifies it is the key."""
    uri = first_start(scene, "env")
    scene.open(uri).close()
    with closing(scene.open("credential:credential")) as store:
        assert store.reader.get("id-1") is not None
        [(entry,)] = store.reader.connection.execute("SELECT entry FROM root_keys").fetchall()
        assert b"credential:credential" in entry, "where it was last"
