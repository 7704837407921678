"""The API and the commands for approvals, and for objects that algorithm rules concern."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from administered import ADMINISTRATOR, Administered
from approving import CREATE, RULE, certificate
from click.testing import CliRunner
from kmipkit_client import OperationFailed, calls
from kmipkit_server.admin.approval_commands import approvals
from kmipkit_server.admin.warning_commands import warnings
from kmipkit_server.audit.records import Outcome
from policies import apply_policy

from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.masks import CryptographicUsageMask as Mask

APPROVALS = "/policy/approvals"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Administered]:
    laboratory = Administered(tmp_path / "data")
    accounts = ("me", "officer-1", "officer-2", "stranger", ADMINISTRATOR)
    laboratory.certificates = {account: certificate() for account in accounts}
    yield laboratory
    laboratory.close()


async def requested(server: Administered) -> str:
    """A key that ``me`` wants to destroy."""
    [key] = await server.request(CREATE)
    [refusal] = await server.request(calls.destroy(key))
    assert isinstance(refusal, OperationFailed)
    return str(key)


def played(server: Administered, work: Callable[[], Awaitable[None]]) -> None:
    apply_policy(server, RULE % 1)
    server.administer(work)


def test_an_officer_approves_what_is_carried_out_then(server: Administered) -> None:
    """Who has approved what is in the audit, in the transaction of the approval."""
    keys: list[str] = []

    async def work() -> None:
        keys.append(await requested(server))
        seen = await server.ask("GET", APPROVALS, identity="officer-1")
        [request] = seen.body["requests"]
        assert (request["number"], request["account"], request["objects"]) == (1, "me", keys)
        assert (request["may_approve"], request["needed"]) == (True, 1)
        approved = await server.ask("POST", f"{APPROVALS}/1/approve", {}, identity="officer-1")
        assert (approved.status, approved.body["approvals"]) == (200, 1)
        [done] = await server.request(calls.destroy(keys[0]))
        assert not isinstance(done, OperationFailed)
        assert (await server.ask("GET", APPROVALS)).body == {"requests": []}

    played(server, work)
    approve = next(each for each in server.requests() if each.operation.endswith("approve"))
    assert approve.client.account == "officer-1"
    assert (approve.subject, approve.objects) == ("request 1: Destroy by me", tuple(keys))
    assert approve.change
    [refused, done] = [each for each in server.operations() if each.operation == "Destroy"]
    assert "this is request 1" in refused.message
    assert done.notes == ("request 1 was approved by officer-1",)


def test_others_get_nothing_and_the_requester_approves_nothing(server: Administered) -> None:
    async def work() -> None:
        await requested(server)
        approve = f"{APPROVALS}/1/approve"
        mine = (await server.ask("GET", APPROVALS, identity="me")).body["requests"]
        assert "their own account" in mine[0]["why_not"]
        assert (await server.ask("POST", approve, {}, identity="me")).status == 403
        assert (await server.ask("GET", APPROVALS, identity="stranger")).body["requests"] == []
        assert (await server.ask("POST", approve, {}, identity="stranger")).status == 404
        [seen] = (await server.ask("GET", APPROVALS)).body["requests"]
        assert "does not name the account" in seen["why_not"]
        assert (await server.ask("POST", approve, {})).status == 404
        for path in ("/policy/warnings", "/objects", "/openapi.json", "/nowhere"):
            answer = await server.ask("GET", path, identity="officer-1")
            assert (answer.status, "is not an administrator" in answer.text) == (403, True)

    played(server, work)
    refused = [each for each in server.requests() if each.outcome is Outcome.FAILED]
    assert len(refused) == 7


def test_a_rejected_request_shows_by_whom(server: Administered) -> None:
    async def work() -> None:
        await requested(server)
        await server.ask("POST", f"{APPROVALS}/1/reject", {}, identity="officer-2")
        [request] = (await server.ask("GET", APPROVALS)).body["requests"]
        assert request["rejected"]["account"] == "officer-2"
        again = await server.ask("POST", f"{APPROVALS}/1/approve", {}, identity="officer-1")
        assert again.status == 403

    played(server, work)


def test_a_password_is_changed_with_the_approval_that_the_command_has_asked_for(
    server: Administered,
) -> None:
    """The old password is destroyed; the refusal names this request, and not that of the undoing."""
    password = "/users/carol/password"

    async def work() -> None:
        assert (
            await server.ask("POST", "/users", {"name": "carol", "password": "one"})
        ).status == 200
        old = (await server.ask("GET", "/users/carol")).body["credentials"][0]["id"]
        refused = await server.ask("PUT", password, {"password": "two"})
        assert (refused.status, "this is request 1," in refused.text) == (403, True)
        [request, *_] = (await server.ask("GET", APPROVALS)).body["requests"]
        assert (request["number"], request["objects"]) == (1, [old])
        await server.ask("POST", f"{APPROVALS}/1/approve", {}, identity="officer-1")
        changed = await server.ask("PUT", password, {"password": "two"})
        assert changed.status == 200, changed.text
        assert old not in [each["id"] for each in changed.body["credentials"]]

    played(server, work)


ADMINISTERED = """
[rules."two persons make users"]
require = ["administer", "change attributes", "destroy objects"]
approvals = { number = 1, by = "officer-1" }
"""


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users", {"name": "bob", "password": "one"}),
        ("PUT", "/users/carol/password", {"password": "two"}),
    ],
)
def test_each_operation_of_a_command_can_be_approved(
    server: Administered, method: str, path: str, body: dict[str, str]
) -> None:
    """Nobody could add a user while a rule is about it: each attempt was another request."""

    async def work() -> None:
        carol = {"name": "carol", "password": "one"}
        assert (await server.ask("POST", "/users", carol)).status == 200
        applied = await server.ask("POST", "/policy/versions", {"text": ADMINISTERED})
        assert applied.status < 400, applied.text
        objects = (await server.ask("GET", "/totals")).body["objects"]
        for number in range(1, 10):
            answer = await server.ask(method, path, body)
            if answer.status == 200:
                break
            assert f"this is request {number}," in answer.text
            assert (await server.ask("GET", "/totals")).body["objects"] == objects
            approve = f"{APPROVALS}/{number}/approve"
            assert (await server.ask("POST", approve, {}, identity="officer-1")).status == 200
        assert (answer.status, len(answer.body["credentials"])) == (200, 1)
        assert number > 2
        assert (await server.ask("GET", APPROVALS)).body["requests"] == []

    server.administer(work)


RULES = """
[algorithms."long keys"]
minimum_length = { AES = 256 }
from = 2027-01-01

[algorithms."fresh keys"]
maximum_age_days = 60

[algorithms."no 3DES"]
algorithms = { forbidden = ["3DES"] }
"""


def create(algorithm: CryptographicAlgorithm, length: int, name: str) -> Any:
    return calls.create(algorithm, length, Mask.ENCRYPT, name, None)


def test_affected_objects_are_listed_with_owner_rule_and_date(server: Administered) -> None:
    """Before somebody's backup fails one morning."""

    async def work() -> None:
        [short] = await server.request(create(CryptographicAlgorithm.AES, 128, "short"))
        [_long] = await server.request(create(CryptographicAlgorithm.AES, 256, "long"))
        [old] = await server.request(
            create(CryptographicAlgorithm.DES3, 168, "old"), identity="other"
        )
        [gone] = await server.request(create(CryptographicAlgorithm.AES, 128, "gone"))
        await server.request(calls.destroy(gone))
        ids.update(short=short, old=old)

    ids: dict[str, str] = {}
    server.administer(work)
    apply_policy(server, RULES)

    async def look() -> None:
        async def rules(**query: Any) -> list[tuple[str, str, bool]]:
            answer = await server.ask("GET", "/policy/warnings", query=query)
            assert answer.body["next"] is None
            return [(each["id"], each["rule"], each["refused"]) for each in answer.body["objects"]]

        assert (ids["short"], "long keys", False) in await rules()
        assert await rules(days=0) == [(ids["old"], "no 3DES", True)]
        within = {rule for _, rule, _ in await rules(days=45)}
        assert within == {"long keys", "no 3DES"}
        assert {rule for _, rule, _ in await rules(owner="other")} == {"fresh keys", "no 3DES"}
        server.pass_time(days=60)
        assert {rule for _, rule, refused in await rules() if refused} == {
            "long keys", "fresh keys", "no 3DES",
        }  # fmt: skip
        first = await server.ask("GET", "/policy/warnings", query={"limit": 1})
        assert first.body["next"] is not None
        assert first.body["objects"][0]["names"] == ["short"]

    server.administer(look)


# --- commands ------------------------------------------------------------------------------------


def data_directory(server: Administered) -> list[str]:
    """The options for commands on the files of a server that does not run."""
    server.close()
    (server.folder / "db").rename(server.folder / "objects.sqlite3")
    return ["--data-dir", str(server.folder)]


@pytest.mark.sqlite
def test_the_commands_read_the_files_of_a_server_that_does_not_run(server: Administered) -> None:
    async def work() -> None:
        await requested(server)

    # Commands have the clock of the machine, on which the request must not have expired.
    server.now = datetime.now(UTC)
    played(server, work)
    apply_policy(server, RULE % 1 + "[algorithms.r]\nminimum_strength = 300\n")
    options = data_directory(server)
    listed = CliRunner().invoke(approvals, ["list", *options])
    assert listed.exit_code == 0, listed.output
    assert listed.output.splitlines()[0].split() == [
        "NUMBER", "ACCOUNT", "OPERATION", "OBJECTS", "RULE", "APPROVALS", "EXPIRES", "(UTC)",
    ]  # fmt: skip
    found = CliRunner().invoke(warnings, options)
    assert found.exit_code == 0, found.output
    assert "AES with 256 bits has a strength of 256 bits, less than 300" in found.output
    soon = CliRunner().invoke(warnings, [*options, "--json", "--days", "0"])
    assert '"rule": "r"' in soon.output
