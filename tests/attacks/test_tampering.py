"""Who can write the database, but has not the root key, changes nothing unnoticed.

Otherwise whoever restores a backup, or gets at the disk, could give a key to another account, make it
extractable, or bring a revoked key back to life, and nobody would know.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from kmipkit_client import OperationFailed, calls, material, messages
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.operations.notify import RequestSource
from kmipkit_server.store import index
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sqlite import database
from laboratory import Laboratory, reasons
from old_stores import FIRST, restore

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name, RevocationReason
from kmipkit.model.credentials import Authentication, Credential, Device, UsernameAndPassword
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateUserRequest,
    DeviceCredential,
    PasswordCredential,
)
from kmipkit.model.payloads.lifecycle import RevokeRequest
from kmipkit.model.payloads.limits import Constraint, Constraints, SetConstraintsRequest
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    CredentialType,
    CryptographicAlgorithm,
    NameType,
    Operation,
    RevocationReasonCode,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT


class Tampered:
    """A data directory, a server on it, and an intruder who can write its database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self.server() as server:
            self.key = server.ask(create("mine", 256))
            self.secret = server.ask(create("secret", 256, {Tag.EXTRACTABLE: False}))
            self.other = server.ask(create("other", 128), identity="mallory")

    def server(self) -> "closing[Laboratory]":
        return closing(Laboratory(self.folder))

    def sql(self, statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "db", isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    def copy_row(self, identifier: str) -> dict[str, Any]:
        with closing(sqlite3.connect(self.folder / "db")) as connection:
            connection.row_factory = sqlite3.Row
            return dict(
                connection.execute("SELECT * FROM objects WHERE id = ?", (identifier,)).fetchone()
            )

    def put_row(self, row: dict[str, Any]) -> None:
        columns = ", ".join(row)
        places = ", ".join("?" * len(row))
        statement = f"INSERT OR REPLACE INTO objects ({columns}) VALUES ({places})"
        self.sql(statement, *row.values())


@pytest.fixture
def tampered(tmp_path: Path) -> Tampered:
    return Tampered(tmp_path / "data")


def create(name: str | None, bits: int, attributes: Any = None) -> Any:
    return calls.create(CryptographicAlgorithm.AES, bits, BOTH, name, attributes)


def get(identifier: str) -> Any:
    return calls.get(identifier, None, None, None)


def get_attributes(identifier: str) -> Any:
    return calls.get_attributes(identifier, ())


MALLORY = "(SELECT number FROM owners WHERE name = 'mallory')"

CHANGES = {
    "owner": f"UPDATE objects SET owner = {MALLORY} WHERE id = :id",
    "owner that does not exist": "UPDATE objects SET owner = 999 WHERE id = :id",
    "owner's name": "UPDATE owners SET name = 'alice' WHERE name = 'me'",
    "state": "UPDATE objects SET state = 2 WHERE id = :id",
    "impossible state": "UPDATE objects SET state = -77 WHERE id = :id",
    "type": "UPDATE objects SET type = 7 WHERE id = :id",
    "impossible type": "UPDATE objects SET type = -9223372036854775807 WHERE id = :id",
    "attributes": "UPDATE objects SET attributes = (SELECT attributes FROM objects"
    " WHERE id != :id LIMIT 1) WHERE id = :id",
    "junk as attributes": "UPDATE objects SET attributes = x'00' WHERE id = :id",
    "attribute set": "UPDATE objects SET kind = (SELECT kind FROM objects WHERE id != :id"
    " AND kind != (SELECT kind FROM objects WHERE id = :id)) WHERE id = :id",
    "attribute set that does not exist": "UPDATE objects SET kind = 999 WHERE id = :id",
    "content of the attribute set": "UPDATE kinds SET attributes = (SELECT k.attributes FROM kinds k"
    " WHERE k.number != kinds.number)",
    "nonce": "UPDATE objects SET nonce = zeroblob(12) WHERE id = :id",
    "data key": "UPDATE objects SET data_key = NULL WHERE id = :id",
    "mac": "UPDATE objects SET mac = zeroblob(32) WHERE id = :id",
    "mac of another": "UPDATE objects SET mac = (SELECT mac FROM objects WHERE id != :id LIMIT 1)"
    " WHERE id = :id",
    "identifier": "UPDATE objects SET id = :id WHERE id = 'x'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_an_object_is_detected(
    tampered: Tampered, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its owner learns that it is damaged, the log names it, and all others are served."""
    with closing(sqlite3.connect(tampered.folder / "db", isolation_level=None)) as connection:
        if change == "identifier":
            row = tampered.copy_row(tampered.secret)
            connection.execute("DELETE FROM objects WHERE id = ?", (tampered.key,))
            connection.execute(
                "UPDATE objects SET id = ? WHERE id = ?", (tampered.key, tampered.secret)
            )
            assert row["id"] == tampered.secret
        else:
            connection.execute(CHANGES[change], {"id": tampered.key})
    with tampered.server() as server:
        caplog.clear()
        for call in (get(tampered.key), get_attributes(tampered.key)):
            for identity in ("me", "mallory", "alice"):
                results = server.batch(
                    call,
                    create(None, 128),
                    identity=identity,
                    on_error=BatchErrorContinuationOption.CONTINUE,
                )
                assert reasons(results) == ["GENERAL_FAILURE", ""]
                assert "damaged" in str(results[0])
        if change not in {"content of the attribute set", "owner's name"}:
            assert server.ask(get(tampered.other), identity="mallory")
        assert f"the object {tampered.key} was changed in the database" in caplog.text
        assert "Traceback" not in caplog.text


def test_a_revoked_key_does_not_come_back_with_its_old_row(
    tampered: Tampered, caplog: pytest.LogCaptureFixture
) -> None:
    """An older row was written by the server itself; the sum of all rows shows the exchange."""
    old = tampered.copy_row(tampered.key)
    reason = RevocationReason(revocation_reason_code=RevocationReasonCode.KEY_COMPROMISE)
    with tampered.server() as server:
        request = RevokeRequest(unique_identifier=tampered.key, revocation_reason=reason)
        server.ask(calls.raw(Operation.REVOKE, request))
        assert server.record(tampered.key).stored_state is State.COMPROMISED  # type: ignore[union-attr]  # it exists, or the test fails
    tampered.put_row(old)
    caplog.clear()
    with tampered.server():
        assert "was changed by another program: objects were removed, or replaced" in caplog.text


@pytest.mark.parametrize("table", ["objects", "settings", "summary"])
def test_a_row_that_was_removed_is_noticed_at_the_start(
    tampered: Tampered, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    transaction_of(tampered)
    if table == "summary":
        tampered.sql("UPDATE summary SET newest = 0, counter = counter + 1")
    else:
        tampered.sql(f"DELETE FROM {table}")
    caplog.clear()
    with tampered.server() as server:
        assert "was changed by another program" in caplog.text
        assert server.ask(create(None, 128)), "service goes on"
    caplog.clear()
    with tampered.server():
        assert not caplog.text, "the warning comes once"


PROGRAMS = {
    "trigger": (
        ["CREATE TRIGGER keep BEFORE UPDATE ON objects BEGIN SELECT RAISE(IGNORE); END"],
        "it has the trigger 'keep'",
    ),
    "view": (
        [
            "ALTER TABLE settings RENAME TO hidden",
            "CREATE VIEW settings AS SELECT * FROM hidden WHERE 0",
        ],
        "it has the view 'settings'",
    ),
    "constraint": (
        [
            "DROP TABLE rotations",
            "CREATE TABLE rotations (object INTEGER PRIMARY KEY,"
            " due INTEGER NOT NULL UNIQUE ON CONFLICT IGNORE) STRICT",
        ],
        "the definition of the table 'rotations' is not that of this program",
    ),
    "no table": (
        ["DROP TABLE totals"],
        "the definition of the table 'totals' is not that of this program",
    ),
}
"""What a writer of the file does to its schema, and what the server says."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_server_does_not_start_with_the_programs_of_others(
    tampered: Tampered, name: str
) -> None:
    """With the trigger, Destroy and Revoke are answered with success, and the key goes on being given
    out: each row stays as the server has written it, so that its MAC is right."""
    statements, fault = PROGRAMS[name]
    for statement in statements:
        tampered.sql(statement)
    with pytest.raises(StoreError, match=re.escape(fault)), tampered.server():
        pass


def test_tables_of_replication_tools_are_no_attack(tampered: Tampered) -> None:
    tampered.sql("CREATE TABLE _replication (number INTEGER)")
    tampered.sql("CREATE INDEX mine ON objects (type)")
    with tampered.server() as server:
        assert server.ask(create(None, 128))


def test_a_large_store_is_compared_beside_the_work(
    tampered: Tampered, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start does not wait until the rows of a million objects are read; it finds the same."""
    monkeypatch.setattr(database, "CHECKED_BEFORE_START", 0)

    async def serve_until_checked(server: Laboratory, expected: str) -> None:
        async with server.serving():
            with trio.fail_after(30):
                while server.database.is_unchecked or expected not in caplog.text:
                    await trio.lowlevel.checkpoint()
                while sum(each.objects for each in (await server.store.usages()).values()) != (
                    await server.store.run(_count)
                ):
                    await trio.lowlevel.checkpoint()

    for change, expected in (
        ("DELETE FROM objects WHERE seq = 1", "changed by another program: objects were removed"),
        ("SELECT 1", ""),
    ):
        tampered.sql(change)
        caplog.clear()
        with tampered.server() as server:
            assert server.database.is_unchecked
            trio.run(serve_until_checked, server, expected)
        assert bool(caplog.text) == bool(expected), "the warning comes once"


def _count(reader: Any) -> int:
    return int(reader.sql.one("SELECT count(*) FROM objects")[0])


def transaction_of(tampered: Tampered) -> None:
    with tampered.server() as server:
        server.store._database.begin().set_setting("a", b"value")
        server.store._database.commit()


def test_changed_rules_do_not_apply(tampered: Tampered, caplog: pytest.LogCaptureFixture) -> None:
    """Nor do they stop service; an administrator sets them again."""
    with tampered.server() as server:
        set_constraints(server, 256)
        assert reasons(server.batch(create(None, 128))) == ["CONSTRAINT_VIOLATION"]
    tampered.sql("UPDATE settings SET value = x'4200790100000000'")
    with tampered.server() as server:
        assert server.ask(create(None, 128))
        assert "the constraints and defaults cannot be read and do not apply" in caplog.text
        set_constraints(server, 256)
    with tampered.server() as server:
        assert reasons(server.batch(create(None, 128))) == ["CONSTRAINT_VIOLATION"]


def set_constraints(server: Laboratory, bits: int) -> None:
    rule = Constraint(attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, bits)))
    request = SetConstraintsRequest(constraints=Constraints(constraints=(rule,)))
    server.ask(calls.raw(Operation.SET_CONSTRAINTS, request), identity="administrator")


def test_an_untouched_database_gives_no_warning(
    tampered: Tampered, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after failures, which are rolled back."""
    with tampered.server() as server:
        server.batch(
            create("a", 128),
            create("mine", 128),
            create("b", 128),
            on_error=BatchErrorContinuationOption.CONTINUE,
        )
        server.batch(
            create("c", 128), create("mine", 128), on_error=BatchErrorContinuationOption.UNDO
        )
    caplog.clear()
    with tampered.server() as server:
        assert not caplog.text
        assert server.ask(get(tampered.key))


def test_a_damaged_attribute_set_is_repaired_by_its_next_object(tampered: Tampered) -> None:
    """Or every new key with these attributes would be damaged from the start."""
    tampered.sql("UPDATE kinds SET attributes = x'00'")
    with tampered.server() as server:
        new = server.ask(create(None, 256))
        assert server.ask(get(new))
        assert server.ask(get(tampered.key))


# --- the index, which has no MACs ----------------------------------------------------------------


def forge_index(tampered: Tampered, source: str, target: str) -> None:
    """Let the target be found wherever the source is."""
    tampered.sql(
        "INSERT OR IGNORE INTO attribute_index (owner, attribute, field, value, object, instance)"
        " SELECT o.owner, i.attribute, i.field, i.value, t.seq, i.instance"
        " FROM attribute_index i JOIN objects o ON o.seq = i.object, objects t"
        " WHERE o.id = ? AND t.id = ?",
        source,
        target,
    )


def test_locate_finds_nothing_by_a_forged_index(tampered: Tampered) -> None:
    """Otherwise a client would encrypt with another key than the one whose name it knows."""
    forge_index(tampered, tampered.key, tampered.secret)
    tampered.sql(
        "DELETE FROM attribute_index WHERE object = (SELECT seq FROM objects WHERE id = ?)",
        tampered.key,
    )
    with tampered.server() as server:
        located = server.ask(calls.locate("mine", None, None, None, None, None))
        assert located.ids == ()
        located = server.ask(calls.locate("secret", None, None, None, None, None))
        assert located.ids == (tampered.secret,)
        assert server.ask(create("mine", 128)), "the name is not taken either"


@pytest.mark.parametrize("copies", [1, 40])
def test_nobody_logs_in_by_a_forged_index(tampered: Tampered, copies: int) -> None:
    """Links from users to credentials are found by index as well."""
    with tampered.server() as server:
        alice, _ = add_user(server, "alice", "correct horse")
        device = Device(device_serial_number="17")
        credential = ask_administrator(
            server,
            Operation.CREATE_CREDENTIAL,
            CreateCredentialRequest(
                credential_type=CredentialType.DEVICE,
                attributes=Attributes(),
                credential=DeviceCredential(device_serial_number="17"),
            ),
        )
        users = [
            ask_administrator(
                server,
                Operation.CREATE_USER,
                CreateUserRequest(
                    attributes=name(f"user {number}").plus(
                        *Attributes.of((Tag.CREDENTIAL_LINK, [alice]))
                    )
                ),
            )
            for number in range(copies)
        ]
    row = "INSERT INTO attribute_index SELECT owner, ?, 0, ?, seq, 99 FROM objects WHERE id = ?"
    for user in users:
        tampered.sql(row, index.name_of(Tag.CREDENTIAL_LINK), index.text(credential), user)
    kind = CredentialType.DEVICE
    with tampered.server() as server:
        assert log_in_with(server, kind, device) == "AUTHENTICATION_NOT_SUCCESSFUL"


# --- users ---------------------------------------------------------------------------------------


def name(text: str) -> Attributes:
    value = Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)
    return Attributes.of((Tag.NAME, value))


def ask_administrator(server: Laboratory, operation: Operation, request: Any) -> str:
    made = server.ask(calls.raw(operation, request), version=V3_0, identity="administrator")
    return str(made.unique_identifier)


def add_user(server: Laboratory, user: str, password: str) -> tuple[str, str]:
    credential = ask_administrator(
        server,
        Operation.CREATE_CREDENTIAL,
        CreateCredentialRequest(
            credential_type=CredentialType.PASSWORD,
            attributes=Attributes(),
            credential=PasswordCredential(password=password),
        ),
    )
    attributes = name(user).plus(*Attributes.of((Tag.CREDENTIAL_LINK, [credential])))
    request = CreateUserRequest(attributes=attributes)
    return ask_administrator(server, Operation.CREATE_USER, request), credential


def log_in(server: Laboratory, user: str, password: str) -> str:
    """The reason why a user cannot log in; "" if he can."""
    value = UsernameAndPassword(username=user, password=password)
    return log_in_with(server, CredentialType.USERNAME_AND_PASSWORD, value)


def log_in_with(server: Laboratory, kind: CredentialType, value: Any) -> str:
    shown = Credential(credential_type=kind, credential_value=value)
    request = messages.request(V3_0, [create(None, 256)])
    header = request.request_header.replace(authentication=Authentication(credentials=(shown,)))
    [item] = server.send(request.replace(request_header=header), V3_0).batch_items
    return item.result_reason.name if item.result_reason else ""


def test_a_damaged_user_keeps_nobody_else_out(
    tampered: Tampered, caplog: pytest.LogCaptureFixture
) -> None:
    with tampered.server() as server:
        add_user(server, "alice", "correct horse")
        damaged, _ = add_user(server, "bob", "battery staple")
    tampered.sql("UPDATE objects SET state = 3 WHERE id = ?", damaged)
    with tampered.server() as server:
        assert log_in(server, "alice", "correct horse") == ""
        assert log_in(server, "bob", "battery staple") == "AUTHENTICATION_NOT_SUCCESSFUL"
    assert f"the object {damaged} was changed in the database" in caplog.text


@pytest.mark.parametrize("column", ["state", "material"])
def test_a_damaged_device_keeps_no_other_device_out(
    tampered: Tampered, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The server compares a device with all that it knows."""
    with tampered.server() as server:
        credentials = []
        for serial in ("1", "2"):
            device = CreateCredentialRequest(
                credential_type=CredentialType.DEVICE,
                attributes=Attributes(),
                credential=DeviceCredential(device_serial_number=serial),
            )
            credential = ask_administrator(server, Operation.CREATE_CREDENTIAL, device)
            attributes = name(f"user {serial}").plus(
                *Attributes.of((Tag.CREDENTIAL_LINK, [credential]))
            )
            request = CreateUserRequest(attributes=attributes)
            ask_administrator(server, Operation.CREATE_USER, request)
            credentials.append(credential)
    value = "2" if column == "state" else "zeroblob(60)"
    tampered.sql(f"UPDATE objects SET {column} = {value} WHERE id = ?", credentials[1])
    with tampered.server() as server:
        for serial, reason in (("1", ""), ("2", "AUTHENTICATION_NOT_SUCCESSFUL")):
            shown = Device(device_serial_number=serial)
            assert log_in_with(server, CredentialType.DEVICE, shown) == reason
    assert credentials[1] in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("column", ["state", "material"])
def test_a_damaged_object_does_not_end_the_notifications_of_all_accounts(
    tampered: Tampered, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    value = "2" if column == "state" else "zeroblob(60)"
    tampered.sql(f"UPDATE objects SET {column} = {value} WHERE id = ?", tampered.key)
    queue = Notifications(frozenset({"me"}))
    with tampered.server() as server:
        source = RequestSource(server.store, queue, lambda: server.now)
        put = Notification(Operation.PUT, tampered.key, V3_0)
        assert trio.run(source.message, "me", put) is None
        put = Notification(Operation.PUT, tampered.other, V3_0)
        assert trio.run(source.message, "mallory", put) is not None
    assert f"{tampered.key}: not sent: " in caplog.text


# --- the store of an older version ---------------------------------------------------------------


def test_a_store_of_the_first_schema_is_protected_from_now_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = restore(FIRST, tmp_path / "data")
    with closing(Laboratory(tmp_path / "data")) as server:
        assert material(server.ask(get(key))) == bytes(range(32))
        assert log_in(server, "alice", "correct horse") == ""
        destroyed = server.ask(calls.locate("destroyed", None, None, None, None, None)).ids
        assert destroyed == ()
    caplog.clear()
    with closing(Laboratory(tmp_path / "data")) as server:
        assert not caplog.text
    with closing(sqlite3.connect(tmp_path / "data" / "db")) as connection, connection:
        connection.execute("UPDATE objects SET state = 3 WHERE id = ?", (key,))
    with closing(Laboratory(tmp_path / "data")) as server, pytest.raises(OperationFailed):
        server.ask(get(key))
