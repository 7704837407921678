"""The API of administrators: what it answers is as described, recorded, and without key material."""

import base64
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from administered import ADMINISTRATOR, PREFIX, Administered, Answer
from documents import PROJECT
from jsonschema import Draft202012Validator
from kmipkit_client import calls, secret_data, symmetric_key
from kmipkit_server.administration import users
from kmipkit_server.administration.openapi import describe
from kmipkit_server.administration.table import ROUTES
from kmipkit_server.audit.records import Outcome
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.operations.notify import RequestSource
from openapi_spec_validator import validate

from kmipkit.spec.enums import Operation
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V3_0
from tools import gen_openapi

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
MATERIAL = bytes(range(0x41, 0x61))
WORD = b"correct horse battery staple"
PASSWORD = "Tr0ub4dor&3"
DESCRIPTION: dict[str, Any] = json.loads(json.dumps(describe(ROUTES.rows)))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Administered]:
    laboratory = Administered(tmp_path / "data")
    yield laboratory
    laboratory.close()


def key(name: str) -> Any:
    return calls.register(symmetric_key(MATERIAL), BOTH, name, None)


def secret(name: str) -> Any:
    return calls.register(secret_data(WORD), None, name, None)


class Story:
    """A request for each route, in an order in which all of them succeed."""

    def __init__(self, server: Administered) -> None:
        self.server = server
        self.answers: dict[str, Answer] = {}

    async def ask(self, name: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = await self.server.ask(method, path, body, **more)
        assert answer.status < 400, answer.text
        self.answers[name] = answer
        return answer.body

    async def play(self) -> None:
        registered, _ = await self.server.request(key("db-1"), secret("word"), identity="db01")
        identifier = registered
        ask = self.ask
        await ask("objects list", "GET", "/objects", query={"name": "db-*"})
        await ask("objects show", "GET", f"/objects/{identifier}")
        await ask("objects totals", "GET", "/totals")
        await ask("accounts list", "GET", "/accounts")
        await ask("accounts show", "GET", "/accounts/db01")
        await ask("accounts block", "PUT", "/accounts/db01/block", {"reason": "stolen"})
        await ask("accounts unblock", "DELETE", "/accounts/db01/block")
        await ask("accounts transfer", "POST", "/accounts/db01/transfer", {"to": "db02"})
        await ask("users add", "POST", "/users", {"name": "bob", "password": PASSWORD})
        await ask("users list", "GET", "/users")
        await ask("users show", "GET", "/users/bob")
        await ask("users password", "PUT", "/users/bob/password", {"password": PASSWORD * 2})
        await ask("users disable", "PUT", "/users/bob/disabled")
        await ask("users enable", "DELETE", "/users/bob/disabled")
        await ask("groups add", "POST", "/groups", {"name": "operators"})
        await ask("groups members", "PATCH", "/groups/operators/members", {"add": ["bob"]})
        await ask("groups list", "GET", "/groups")
        await ask("groups show", "GET", "/groups/operators")
        await ask("groups remove", "DELETE", "/groups/operators")
        await ask("users remove", "DELETE", "/users/bob")
        await ask("sessions list", "GET", "/sessions")
        await ask("certificates list", "GET", "/certificates", query={"days": 30})
        await ask("audit query", "GET", "/audit", query={"limit": 1000})
        await ask("config show", "GET", "/config")


@pytest.fixture
def story(server: Administered) -> Story:
    told = Story(server)
    server.administer(told.play)
    return told


# Routes that others add, and those that need a connection.
ELSEWHERE = {"sessions close"}
PLAYED = {
    "objects", "accounts", "users", "groups", "sessions", "audit", "config",
    "certificates",
}  # fmt: skip


def test_every_answer_is_as_the_description_says(story: Story) -> None:
    """A console that trusts the description would break."""
    rows = {row.name: row for row in ROUTES.rows if row.name.partition(" ")[0] in PLAYED}
    assert set(story.answers) == set(rows) - ELSEWHERE
    for name, answer in story.answers.items():
        row = rows[name]
        operation = DESCRIPTION["paths"][PREFIX + row.path][row.method.lower()]
        content = operation["responses"][str(answer.status)]["content"]
        schema = {**content["application/json"]["schema"], "components": DESCRIPTION["components"]}
        Draft202012Validator(schema).validate(answer.body)


def test_no_answer_has_a_part_of_a_key_or_password(story: Story) -> None:
    """Administrators would have every key."""
    for name, answer in story.answers.items():
        text = answer.text
        for value in (MATERIAL, WORD, PASSWORD.encode()):
            # Any four bytes, in whatever form: 32 bits are not there by chance.
            parts = [value[start : start + 4] for start in range(len(value) - 3)]
            for part in parts:
                assert part.hex() not in text.lower(), name
            forms = {value.decode(), base64.b64encode(value).decode()[:8]}
            assert not any(form in text for form in forms), name


SHARED = """
[rules."reader reads"]
who = "reader"
allow = "Get"
objects = "db-*"

[rules."db02 is suspended"]
who = "db02"
deny = "all"
"""


def test_an_object_is_shown_with_all_accounts_that_may_use_it(server: Administered) -> None:
    """An administrator would not see that a key is shared, or that its owner cannot use it."""

    async def may_use(identifier: str) -> list[str]:
        found: list[str] = (await server.ask("GET", f"/objects/{identifier}")).body["may_use"]
        return found

    async def work() -> None:
        [first] = await server.request(key("db-1"), identity="db01")
        [second] = await server.request(key("other"), identity="db02")
        await server.request(key("own"), identity="reader")
        assert await may_use(first) == ["db01"]
        applied = await server.ask("POST", "/policy/versions", {"text": SHARED})
        assert applied.status < 400, applied.text
        assert await may_use(first) == ["db01", "reader"]
        assert await may_use(second) == []

    server.administer(work)


def test_the_digest_of_a_password_is_not_shown(server: Administered) -> None:
    """With it, an administrator could guess the password."""

    async def work() -> None:
        [identifier] = await server.request(secret("word"), identity="db01")
        answer = await server.ask("GET", f"/objects/{identifier}")
        assert answer.body["object"]["type"] == "Secret Data"
        assert hashlib.sha256(WORD).hexdigest() not in answer.text
        by_digest = await server.ask("GET", "/objects", query={"attribute": "Digest=00"})
        assert by_digest.status == 400, "nor can it be searched for"

    server.administer(work)


def test_no_record_of_the_audit_has_a_password(server: Administered, story: Story) -> None:
    assert story.answers
    log = b"".join(path.read_bytes() for path in server.directory.iterdir())
    assert PASSWORD.encode() not in log
    assert MATERIAL.hex().encode() not in log
    assert WORD not in log


def test_every_request_is_recorded_reads_too(server: Administered, story: Story) -> None:
    """Nobody could say who has looked at what."""
    records = server.requests()
    assert [each.operation for each in records] == list(story.answers)
    assert {each.outcome for each in records} == {Outcome.SUCCESS}
    assert {(each.client.account, each.client.port) for each in records} == {(ADMINISTRATOR, 4711)}
    by_name = {each.operation: each for each in records}
    assert by_name["objects show"].objects
    assert by_name["accounts transfer"].subject == "db01 to db02"
    assert len(by_name["accounts transfer"].objects) == 2
    changes = {each.operation for each in records if each.change}
    assert {"accounts block", "accounts unblock", "accounts transfer"} <= changes
    assert server.verify().problems == []


def test_users_are_made_by_the_operations_of_kmip(server: Administered, story: Story) -> None:
    """Policy, quotas and audit would not hold for what administrators do."""
    assert story.answers
    operations = {each.operation for each in server.operations()}
    assert {"Create Credential", "Create User", "Create Group", "Add Attribute"} <= operations
    assert {"Delete Attribute", "Destroy"} <= operations


def test_a_group_has_all_of_its_members_and_there_are_all_groups(
    server: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was beyond the first page kept the rights of a group after they were removed from it."""
    monkeypatch.setattr(users, "MAX_PAGE", 2)
    names = [f"user-{number}" for number in range(5)]

    async def work() -> None:
        for name in names:
            await server.ask("POST", "/users", {"name": name, "password": PASSWORD})
            await server.ask("POST", "/groups", {"name": f"group of {name}"})
        members = "/groups/group of user-0/members"
        added = await server.ask("PATCH", quote(members), {"add": names})
        assert added.body["members"] == names
        groups = (await server.ask("GET", "/groups")).body["groups"]
        assert sorted(each["name"] for each in groups) == [f"group of {name}" for name in names]
        removed = await server.ask("PATCH", quote(members), {"remove": names[1:]})
        assert removed.body["members"] == names[:1]

    server.administer(work)


def test_the_description_is_valid_and_the_file_of_it_is_current() -> None:
    validate(DESCRIPTION)
    assert json.loads(gen_openapi.FILE.read_text()) == DESCRIPTION
    assert gen_openapi.FILE.parent == PROJECT / "docs"
    for row in ROUTES.rows:
        operation = DESCRIPTION["paths"][PREFIX + row.path][row.method.lower()]
        assert operation["summary"].endswith(".")
        assert operation["description"].startswith("Needs an administrator")


def test_the_api_serves_its_description_to_administrators_only(server: Administered) -> None:
    async def work() -> None:
        answer = await server.ask("GET", "/openapi.json")
        assert (answer.status, answer.body) == (200, DESCRIPTION)
        assert (await server.ask("GET", "/openapi.json", identity="db01")).status == 403

    server.administer(work)


def test_a_transfer_keeps_identifiers_and_material_and_can_be_repeated(
    server: Administered,
) -> None:
    """A client whose name has changed would lose its keys."""

    async def work() -> None:
        made = await server.request(*(key(f"k{n}") for n in range(60)), identity="old")
        identifiers = made
        moved = []
        for _ in range(4):
            answer = await server.ask("POST", "/accounts/old/transfer", {"to": "new"})
            moved.append((answer.body["objects"], answer.body["remaining"]))
        assert moved == [(50, True), (10, True), (0, False), (0, False)]
        [found] = await server.request(
            calls.locate(None, None, None, None, None, None), identity="new"
        )
        assert set(found.ids) == set(identifiers)
        [got] = await server.request(calls.get(identifiers[0], None, None, None), identity="new")
        assert got.key_block.key_value.key_material == MATERIAL
        [by_name] = await server.request(
            calls.locate("k7", None, None, None, None, None), identity="new"
        )
        assert by_name.ids == (identifiers[7],)
        [refused] = await server.request(
            calls.get(identifiers[0], None, None, None), identity="old"
        )
        assert isinstance(refused, Exception)

    server.administer(work)
    recorded = [len(each.objects) for each in server.requests()]
    assert recorded == [50, 10, 0, 0], "each object of a transaction is in its record"


def test_a_transfer_to_an_account_with_the_same_name_changes_nothing(
    server: Administered,
) -> None:
    async def work() -> None:
        await server.request(key("a"), key("b"), identity="old")
        await server.request(key("b"), identity="new")
        answer = await server.ask("POST", "/accounts/old/transfer", {"to": "new"})
        assert answer.status == 409
        assert "has the Name 'b'" in answer.body["detail"]
        accounts = (await server.ask("GET", "/accounts")).body["accounts"]
        assert {each["name"]: each["objects"] for each in accounts if each["objects"]} == {
            "old": 2,
            "new": 1,
        }

    server.administer(work)
    assert [each.outcome for each in server.requests()] == [Outcome.FAILED, Outcome.SUCCESS]


def test_a_blocked_account_is_refused_after_a_restart_too(tmp_path: Path) -> None:
    """A stolen client would read on."""
    first = Administered(tmp_path / "data")

    async def block() -> None:
        await first.ask("PUT", "/accounts/db01/block", {"reason": "stolen"})
        [refused] = await first.request(key("k"), identity="db01")
        assert refused.reason.name == "PERMISSION_DENIED"
        assert "blocked" in refused.message
        [permitted] = await first.request(key("k"), identity="db02")
        assert isinstance(permitted, str)
        own = await first.ask("PUT", f"/accounts/{ADMINISTRATOR}/block")
        assert own.status == 409, "nobody can lock the last administrator out by mistake"

    first.administer(block)
    first.close()
    second = Administered(tmp_path / "data")

    async def unblock() -> None:
        [refused] = await second.request(key("k"), identity="db01")
        assert refused.reason.name == "PERMISSION_DENIED"
        answer = await second.ask("GET", "/accounts/db01")
        assert answer.body["block"]["by"] == ADMINISTRATOR
        assert answer.body["block"]["reason"] == "stolen"
        assert (await second.ask("DELETE", "/accounts/db01/block")).body["changed"]
        assert not (await second.ask("DELETE", "/accounts/db01/block")).body["changed"]
        [permitted] = await second.request(key("k"), identity="db01")
        assert isinstance(permitted, str)

    second.administer(unblock)
    second.close()


def test_a_blocked_account_is_sent_no_keys_either(server: Administered) -> None:
    """Put would bring a stolen client the keys that it can no longer ask for."""

    async def work() -> None:
        [identifier] = await server.request(key("k"), identity="db01")
        queue = Notifications(frozenset({"db01"}))
        source = RequestSource(server.store, queue, server.dispatcher.clock)
        put = Notification(Operation.PUT, identifier, V3_0)
        assert MATERIAL in (await source.message("db01", put) or b"")
        await server.ask("PUT", "/accounts/db01/block")
        assert await source.message("db01", put) is None

    server.administer(work)


def test_a_blocked_administrator_is_refused(server: Administered) -> None:
    async def work() -> None:
        server.dispatcher.accounts.administrators |= {"second"}
        await server.ask("PUT", "/accounts/second/block")
        answer = await server.ask("GET", "/objects", identity="second")
        assert answer.status == 403
        assert "blocked" in answer.body["detail"]

    server.administer(work)


def test_nobody_locks_oneself_out(server: Administered) -> None:
    async def work() -> None:
        server.dispatcher.accounts.administrators |= {"user:bob"}
        await server.ask("POST", "/users", {"name": "bob", "password": "one"})
        for method, path in (
            ("PUT", "/accounts/user:bob/block"),
            ("PUT", "/users/bob/disabled"),
            ("DELETE", "/users/bob"),
        ):
            answer = await server.ask(method, path, {}, identity="user:bob")
            assert answer.status == 409, path
            assert "your own account" in answer.body["detail"]

    server.administer(work)


def test_a_password_that_was_changed_is_no_longer_accepted(server: Administered) -> None:
    async def work() -> None:
        add = {"name": "bob", "password": "one"}
        assert (await server.ask("POST", "/users", add)).status == 200
        taken = await server.ask("POST", "/users", add)
        assert taken.status == 409
        new = await server.ask("PUT", "/users/bob/password", {"password": "two"})
        assert [each["usable"] for each in new.body["credentials"]] == [True]
        [user] = (await server.ask("GET", "/users")).body["users"]
        assert user["account"] == "user:bob"

    server.administer(work)


def test_a_user_with_objects_is_removed_by_force_only(server: Administered) -> None:
    """Nobody could use the objects."""

    async def work() -> None:
        await server.ask("POST", "/users", {"name": "bob", "password": "one"})
        await server.request(key("k"), identity="user:bob")
        answer = await server.ask("DELETE", "/users/bob")
        assert answer.status == 409
        assert "accounts transfer" in answer.body["detail"]
        assert (await server.ask("DELETE", "/users/bob", {"force": True})).status == 200
        assert (await server.ask("GET", "/users/bob")).status == 404

    server.administer(work)


def test_an_answer_waits_for_the_disk_if_the_configuration_says_so(server: Administered) -> None:
    """A loss of power would hide who has looked at what."""

    async def work() -> None:
        for path in ("/accounts", "/nothing"):
            await server.ask("GET", path)
            log = server.audit.log
            assert log.synced == log.position

    server.administer(work, durable=True)


def test_nothing_is_changed_or_read_without_a_record(
    server: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who fills the disk could then do everything unseen."""
    write = os.write

    def fail(descriptor: int, data: bytes) -> int:
        if b'"event"' in data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    async def work() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", fail)
            answer = await server.ask("PUT", "/accounts/db01/block")
            assert answer.status == 503
            assert "audit log" in answer.body["detail"]
            assert (await server.ask("GET", "/accounts")).status == 503
        assert server.state.blocked == {}
        assert (await server.ask("GET", "/accounts")).status == 200

    server.administer(work)
