"""A migration brings everything along, does nothing twice, and says what it could not bring."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import Client, OperationFailed, material
from kmipkit_client.values import symmetric_key
from kmipkit_migrate.comparison import DIFFERENT, EQUAL, EXTRA, MISSING
from kmipkit_migrate.copying import BY_TLS, END_TO_END, FROM_SOURCE
from kmipkit_migrate.errors import MigrationError
from kmipkit_migrate.journal import ALREADY, COPIED, NOT_COPIED, PARTLY, Journal
from kmipkit_migrate.migration import Options
from kmipkit_migrate.rules import WRAPPING_KEY
from kmipkit_migrate.server import Server
from migrating import FAST, Move, furnish

from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_1
from kmipkit.testing import key_server


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def move(stack: ExitStack, tmp_path: Path) -> Move:
    clients = [stack.enter_context(stack.enter_context(key_server()).client()) for _ in range(2)]
    return Move(*clients, tmp_path / "journal")


@pytest.fixture
def without_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is one of those that have no Import."""
    monkeypatch.setattr(Server, "imports", property(lambda self: False))


def test_all_comes_along_and_the_servers_are_equal(move: Move) -> None:
    """Identifiers, attributes, states, dates and links, and each key."""
    made = furnish(move.source)
    entries = move.run()
    assert {entries[each].outcome for each in made.values()} == {COPIED}
    assert {entries[each].to for each in made.values()} == set(made.values())
    for identifier in made.values():
        assert material(move.target.get(identifier)) == material(move.source.get(identifier))
    compared = move.compare()
    assert {each.outcome for each in compared} == {EQUAL}
    assert {each.id for each in compared} >= set(made.values())
    states = {name: move.target.get_attributes(made[name]).get(Tag.STATE) for name in made}
    assert states["compromised"] is State.COMPROMISED
    assert states["deactivated"] is State.DEACTIVATED


def test_keys_are_wrapped_from_end_to_end(move: Move) -> None:
    """Nothing on the way has a key in clear: neither TLS nor this program."""
    made = furnish(move.source)
    seen: list[Any] = []
    original = move.target._call  # type: ignore[attr-defined]

    def watched(call: Any) -> Any:
        seen.append(call.build(V2_1))
        return original(call)

    move.target._call = watched  # type: ignore[attr-defined,method-assign]
    entries = move.run()
    ways = {name: entries[identifier].protection for name, identifier in made.items()}
    assert ways.pop("opaque") is None
    assert set(ways.values()) == {END_TO_END}
    for name in ("active", "password", "short"):
        secret = material(move.source.get(made[name]))
        assert not any(secret.hex() in _text(each) for each in seen), name


def _text(payload: Any) -> str:
    """All bytes in a payload as text."""
    from kmipkit.model.codec import encode

    return encode(payload, V2_1, tag=Tag.REQUEST_PAYLOAD).hex()


def test_the_wrapping_key_does_not_stay(move: Move) -> None:
    furnish(move.source)
    move.run()
    assert not move.journal.wrapping_keys
    for client in (move.source, move.target):
        everything = [
            *client.locate().ids,
            *client.locate(storage_status=StorageStatusMask.DESTROYED_STORAGE).ids,
        ]
        for identifier in everything:
            attributes = client.get_attributes(identifier)
            if str(attributes[Tag.NAME].name_value).startswith(WRAPPING_KEY):
                assert attributes.get(Tag.STATE) is State.DESTROYED


def test_keys_can_go_without_a_wrapping_key(move: Move) -> None:
    """For a source on which nothing may be stored."""
    made = furnish(move.source)
    before = move.source.locate().ids
    move.options = replace(FAST, wraps=False)
    entries = move.run()
    assert entries[made["active"]].protection == BY_TLS
    assert move.source.locate().ids == before
    assert {each.outcome for each in move.compare()} == {EQUAL}


@pytest.mark.parametrize("version", [V1_0, V1_2, V1_4])
def test_a_source_with_an_older_version(stack: ExitStack, tmp_path: Path, version: Any) -> None:
    source, target = (stack.enter_context(key_server()) for _ in range(2))
    with source.client(version=version) as old, target.client() as new:
        made = furnish(old)
        move = Move(old, new, tmp_path / "journal")
        entries = move.run()
        assert {entries[each].outcome for each in made.values()} <= {COPIED, PARTLY}
        for identifier in made.values():
            assert material(new.get(identifier)) == material(old.get(identifier))
        assert {each.outcome for each in move.compare()} == {EQUAL}


@pytest.mark.usefixtures("without_import")
def test_a_target_without_import_gets_new_identifiers(move: Move) -> None:
    """States follow by operations, and links refer to the copies."""
    made = furnish(move.source)
    entries = move.run()
    identifiers = {name: entries[made[name]].to for name in made}
    assert None not in identifiers.values()
    assert not set(identifiers.values()) & set(made.values())
    assert entries[made["active"]].protection == FROM_SOURCE
    link = move.target.get_attributes(identifiers["private"], "Link")[Tag.LINK]
    assert link.linked_object_identifier == identifiers["public"]
    compared = {each.id: each for each in move.compare()}
    assert {compared[each].outcome for each in made.values()} == {EQUAL}
    assert not move.target.locate(attributes={"x-kmipkit-migrated-from": made["active"]}).ids
    notes = [note.what for note in entries[made["compromised"]].notes]
    assert notes == ["Compromise Date"]


# --- interruptions ---------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("imports", [True, False])
def test_a_killed_migration_goes_on_and_does_nothing_twice(
    move: Move, monkeypatch: pytest.MonkeyPatch, imports: bool
) -> None:
    """Wherever it was killed: before and after each line of its journal, and in the middle of one."""
    if not imports:
        monkeypatch.setattr(Server, "imports", property(lambda self: False))
    made = furnish(move.source)
    write = Journal._write
    for number in range(2, 60, 5):
        count = 0

        def killing(self: Journal, step: Any, number: int = number) -> None:
            nonlocal count
            count += 1
            if count >= number:
                if number % 2 and count == number:
                    self._file.write(b'{"begin": "cut')
                    self._file.flush()
                raise Killed
            write(self, step)

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "_write", killing)
            # SIGKILL runs nothing: the wrapping keys stay for the time being.
            patch.setattr("kmipkit_migrate.transit._destroy", lambda *_: False)
            try:
                move.run()
            except Killed:
                continue
            break
    entries = move.run()
    assert {entries[each].outcome for each in made.values()} <= {COPIED, PARTLY}
    copies = [each for each in move.compare() if each.outcome != EQUAL]
    assert not copies
    assert not move.journal.wrapping_keys
    count_of = [len(client.locate().ids) for client in (move.source, move.target)]
    assert count_of == [len(made), len(made)]


def test_a_second_run_does_nothing(move: Move) -> None:
    furnish(move.source)
    first = move.run()
    lines = len(move.steps())
    assert move.run() == first
    # But for the wrapping keys.
    rest = [step for step in move.steps()[lines:] if "wrapping_key" not in step]
    assert {step["outcome"] for step in rest} <= {"left out"}


def test_the_journal_has_no_secrets_and_belongs_to_the_user(move: Move) -> None:
    made = furnish(move.source)
    move.run()
    text = move.path.read_text()
    for identifier in made.values():
        assert material(move.source.get(identifier)).hex() not in text
    assert "correct horse" not in text
    assert move.path.stat().st_mode & 0o777 == 0o600


def test_the_journal_of_another_migration_is_refused(move: Move) -> None:
    move.run()
    move.names = ("other:5696", "new:5696")
    with pytest.raises(MigrationError, match="is the journal of a migration from old:5696"):
        move.run()
    move.path.write_text("something else\n")
    with pytest.raises(MigrationError, match="is not the journal of a migration"):
        move.run()


def test_a_lost_server_is_told_with_what_to_do(stack: ExitStack, tmp_path: Path) -> None:
    source, target = (stack.enter_context(key_server()) for _ in range(2))
    with source.client() as old, target.client(retries=0, deadline=1.0, timeout=1.0) as new:
        furnish(old)
        move = Move(old, new, tmp_path / "journal")

        def lose(_what: str, done: int, _of: int) -> None:
            if done == 2:
                target.stop()

        with pytest.raises(MigrationError, match="the same command goes on"):
            move.run(lose)


# --- what cannot come along ------------------------------------------------------------------------


def test_what_the_source_does_not_give_out_is_reported(move: Move) -> None:
    """And the others come along all the same."""
    good = move.source.create(name="good")
    sealed = move.source.create(name="sealed", attributes={"Extractable": False})
    archived = move.source.create(name="archived")
    move.source.archive(archived)
    entries = move.run()
    assert entries[good].outcome == COPIED
    for identifier, reason in ((sealed, "not extractable"), (archived, "is archived: recover it")):
        assert entries[identifier].outcome == NOT_COPIED
        [note] = entries[identifier].notes
        assert reason in note.why
    missing = {each.id for each in move.compare() if each.outcome == MISSING}
    assert missing == {sealed, archived}
    move.source.recover(archived)
    move.options = Options(workers=1, again=True)
    assert move.run()[archived].outcome == COPIED


def test_a_sensitive_key_comes_along_wrapped(move: Move) -> None:
    identifier = move.source.create(name="sensitive", attributes={"Sensitive": True})
    entries = move.run()
    assert entries[identifier].outcome == COPIED
    assert entries[identifier].protection == END_TO_END
    assert move.target.get_attributes(identifier).get(Tag.SENSITIVE) is True
    with pytest.raises(OperationFailed):
        move.target.get(identifier)
    assert {each.outcome for each in move.compare()} == {EQUAL}


def test_a_destroyed_object_stays_known(move: Move) -> None:
    """With its name and its dates, so that nobody takes it for lost."""
    identifier = move.source.create(name="old", attributes={"x-Owner": "storage"})
    move.source.destroy(identifier)
    entries = move.run()
    assert entries[identifier].outcome == COPIED, entries[identifier]
    attributes = move.target.get_attributes(identifier)
    assert attributes.get(Tag.STATE) is State.DESTROYED
    theirs = move.source.get_attributes(identifier)
    assert attributes.get(Tag.DESTROY_DATE) == theirs.get(Tag.DESTROY_DATE)
    with pytest.raises(OperationFailed):
        move.target.get(identifier)


def test_an_attribute_that_the_target_refuses_is_reported(move: Move) -> None:
    """The object comes along without it."""
    move.target.create(name="taken")
    identifier = move.source.create(name="taken", attributes={"x-Owner": "storage"})
    entries = move.run()
    assert entries[identifier].outcome == PARTLY
    [note] = entries[identifier].notes
    assert note.what == "Name"
    attributes = move.target.get_attributes(identifier)
    assert attributes["x-Owner"] == "storage"
    assert material(move.target.get(identifier)) == material(move.source.get(identifier))


def test_an_object_that_is_there_already_is_not_replaced(move: Move) -> None:
    identifier = move.source.create(name="one")
    move.target.import_(
        identifier,
        object_type=ObjectType.SYMMETRIC_KEY,
        value=symmetric_key(bytes(32)),
        attributes={"Name": "other"},
    )
    entries = move.run()
    assert entries[identifier].outcome == ALREADY
    assert material(move.target.get(identifier)) == bytes(32)
    [compared] = [each for each in move.compare() if each.id == identifier]
    assert {each.what for each in compared.differences} >= {"the object itself", "Name"}


# --- comparing -------------------------------------------------------------------------------------


def test_each_difference_is_found(move: Move) -> None:
    """Objects, attributes, states and keys; and never a key in the result."""
    made = furnish(move.source)
    move.run()
    move.target.modify_attribute(made["active"], "x-Owner", "somebody", current="storage")
    move.target.activate(made["pre-active"])
    move.target.import_(
        made["short"],
        object_type=ObjectType.SYMMETRIC_KEY,
        value=symmetric_key(bytes(16)),
        attributes=move.target.get_attributes(made["short"]).only([Tag.NAME, Tag.STATE]),
        replace_existing=True,
    )
    move.target.destroy(made["opaque"])
    extra = move.target.create(name="extra")
    compared = {each.id or each.to: each for each in move.compare()}
    whats = {
        name: {each.what for each in compared[made[name]].differences}
        for name in ("active", "pre-active", "short", "opaque", "password")
    }
    assert whats["active"] == {"x-Owner"}
    assert {"State", "Activation Date"} <= whats["pre-active"] | {"Activation Date"}
    assert "the object itself" in whats["short"]
    assert (
        "State" in whats["opaque"]
        or "Destroy Date" in whats["opaque"]
        or compared[made["opaque"]].outcome == MISSING
    )
    assert whats["password"] == set()
    assert compared[extra].outcome == EXTRA
    assert compared[made["active"]].outcome == DIFFERENT
    text = json.dumps([str(each) for each in compared.values()])
    assert bytes(range(16)).hex() not in text
    assert "correct horse" not in text


def test_a_comparison_changes_nothing(move: Move) -> None:
    furnish(move.source)
    move.run()
    before = [_everything(client) for client in (move.source, move.target)]
    move.compare()
    assert [_everything(client) for client in (move.source, move.target)] == before


def _everything(client: Client) -> dict[str, Any]:
    return {each: sorted(map(repr, client.get_attributes(each))) for each in client.locate().ids}
