"""Tenants as administrators manage them: changes hold at once, and what would harm is refused."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from administered import ADMINISTRATOR, Administered, Answer
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_client import OperationFailed, calls
from kmipkit_server.administration.routes import Who
from kmipkit_server.administration.table import ROUTES
from kmipkit_server.policy import versions
from kmipkit_server.store.base import Reader, Transaction
from tenancy import authority, member, set_tenants, tenant

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads.crypto import HashRequest
from kmipkit.spec.enums import CryptographicAlgorithm, HashingAlgorithm, Operation
from kmipkit.spec.masks import CryptographicUsageMask

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
PATTERN = {"name": "lab", "accounts": ["lab-*"], "administrators": ["lab-root"]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Administered]:
    laboratory = Administered(tmp_path / "data")
    yield laboratory
    laboratory.close()


def pem(name: str) -> str:
    return authority(name).certificate.public_bytes(Encoding.PEM).decode()


def key(name: str) -> Any:
    return calls.create(CryptographicAlgorithm.AES, 128, BOTH, name, None)


async def create(server: Administered, account: str, name: str = "disk") -> str:
    [made] = await server.request(key(name), identity=account)
    assert not isinstance(made, OperationFailed), made
    return str(made)


async def sees(server: Administered, account: str, identifier: str) -> bool:
    [found] = await server.request(calls.get_attributes(identifier, ()), identity=account)
    return not isinstance(found, OperationFailed)


def test_a_tenant_from_its_beginning_to_its_end(server: Administered) -> None:
    async def story() -> None:
        old = await create(server, "lab-1")
        made = await server.ask("POST", "/tenants", PATTERN | {"limits": {"objects": 5}})
        assert made.status == 200, made.text
        assert made.body["to_move"] == ["lab-1"]
        assert made.body["limits"]["objects"] == 5
        assert not await sees(server, "lab-1", old), "it has become another account"
        moved = await server.ask("POST", "/tenants-moves", {"account": "lab-1", "target": "lab"})
        assert moved.body == {"account": "tenant:lab:lab-1", "objects": 1}
        assert await sees(server, "lab-1", old)
        changed = await server.ask(
            "PATCH", "/tenants/lab", {"limits": {"objects": None, "workers": 2}, "units": ["Lab"]}
        )
        assert changed.body["limits"] | {"objects": None, "workers": 2} == changed.body["limits"]
        assert changed.body["accounts"] == ["lab-*"]
        assert changed.body["objects"] == 1
        refused = await server.ask("DELETE", "/tenants/lab")
        assert refused.status == 409
        assert "lab-1 (1)" in refused.body["detail"]
        [destroyed] = await server.request(calls.destroy(old), identity="lab-1")
        assert destroyed is None
        removed = await server.ask("DELETE", "/tenants/lab")
        assert removed.body == {"name": "lab", "objects": 1}
        versions = (await server.ask("GET", "/tenants-versions")).body["versions"]
        assert [each["change"] for each in versions] == [
            "added lab",
            "changed lab: objects, units, workers",
            "removed lab",
        ]
        assert {each["by"] for each in versions} == {ADMINISTRATOR}
        assert (await server.ask("GET", "/tenants")).body == {"version": 3, "tenants": []}

    server.administer(story)
    recorded = [(each.operation, each.subject, each.change) for each in server.requests()]
    assert ("tenants add", "lab", True) in recorded
    assert ("tenants move", "lab-1 to tenant:lab:lab-1", True) in recorded
    assert ("tenants remove", "lab", True) in recorded

    def left(reader: Reader) -> tuple[Any, ...]:
        owners = [owner for owner in reader.owners("lab") if reader.objects_of(owner)]
        return tuple(owners), tuple(reader.settings("tenant:"))

    assert trio.run(server.store.run, left) == ((), ())


def test_a_move_keeps_everything_but_the_owner(server: Administered) -> None:
    """And the way back is the same."""
    set_tenants(server, tenant("lab", accounts=("lab-*",)))
    before: dict[str, Any] = {}

    async def snapshot(account: str) -> list[Any]:
        located = (
            await server.request(calls.locate(None, None, None, None, None, None), identity=account)
        )[0]
        return [
            await server.request(
                calls.get(each, None, None, None), calls.get_attributes(each, ()), identity=account
            )
            for each in located.ids
        ]

    async def story() -> None:
        for number in range(5):
            await create(server, "lab-1", f"disk-{number}")
        before["objects"] = await snapshot("lab-1")
        for source, target in (("lab", ""), ("", "lab")):
            moved = await server.ask(
                "POST", "/tenants-moves", {"account": "lab-1", "source": source, "target": target}
            )
            assert moved.body["objects"] == 5
        assert await snapshot("lab-1") == before["objects"]

    server.administer(story)


def test_operations_in_several_parts_end_with_their_account(server: Administered) -> None:
    """Whoever has its name later could otherwise go on with them."""
    set_tenants(server, tenant("lab", accounts=("lab-*",)))
    request = HashRequest(
        cryptographic_parameters=CryptographicParameters(
            hashing_algorithm=HashingAlgorithm.SHA_256
        ),
        data=b"one",
        init_indicator=True,
    )
    begin = calls.raw(Operation.HASH, request)

    def owners() -> list[str]:
        computations = server.dispatcher.server.state.computations.values()
        return [each.owner[0] for each in computations]

    async def story() -> None:
        for account in ("lab-1", "lab-2", "other"):
            await server.request(begin, identity=account)
        assert owners() == ["tenant:lab:lab-1", "tenant:lab:lab-2", "other"]
        await server.ask("POST", "/tenants-moves", {"account": "lab-1", "source": "lab"})
        assert owners() == ["tenant:lab:lab-2", "other"]
        await server.ask("DELETE", "/tenants/lab")
        assert owners() == ["other"]

    server.administer(story)


def test_a_move_that_cannot_be_whole_moves_nothing(server: Administered) -> None:
    async def story() -> None:
        old = [await create(server, "lab-1", name) for name in ("disk", "tape")]
        await server.ask("POST", "/tenants", PATTERN)
        await create(server, "lab-1", "tape")
        move = {"account": "lab-1", "target": "lab"}
        answer = await server.ask("POST", "/tenants-moves", move)
        assert answer.status == 409
        assert "'tape'" in answer.body["detail"]
        assert not await sees(server, "lab-1", old[0])
        for wrong in ({"account": "", "target": "lab"}, {"account": "tenant:lab:x"}):
            assert (await server.ask("POST", "/tenants-moves", wrong)).status == 422
        assert (
            await server.ask("POST", "/tenants-moves", {"account": "x", "target": "no"})
        ).status == 404
        assert (await server.ask("POST", "/tenants-moves", {"account": "x"})).status == 409

    server.administer(story)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"accounts": ["administr*"]}, "would no longer administer the server"),
        ({"accounts": ["*"]}, "both claim accounts"),
        ({"accounts": ["db-*"], "authorities": ["x"]}, "one certificate in PEM"),
        ({"name": "Lab"}, "cannot be the name of a tenant"),
        ({"name": "other", "accounts": ["lab-1"]}, "both claim accounts"),
        ({"limits": {"objects": 0}}, "more than 0"),
        ({"limits": {"objectz": 1}}, "objectz"),
    ],
)
def test_what_would_harm_is_refused(server: Administered, body: dict[str, Any], text: str) -> None:
    server.dispatcher.accounts.administrators = frozenset({ADMINISTRATOR})

    async def story() -> None:
        await server.ask("POST", "/tenants", {"name": "first", "accounts": ["lab-*"]})
        answer: Answer = await server.ask("POST", "/tenants", {"name": "lab"} | body)
        assert answer.status in {400, 409, 422}, answer.text
        assert text in answer.body["detail"]
        assert (await server.ask("GET", "/tenants")).body["version"] == 1

    server.administer(story)


def test_an_authority_whose_clients_are_accepted_is_not_released(server: Administered) -> None:
    """Its clients would become accounts without a tenant, perhaps those of others."""
    der = authority("acme").certificate.public_bytes(Encoding.DER)
    own = server.dispatcher.server
    server.dispatcher.server = replace(own, settings=replace(own.settings, anchors=(der,)))

    async def story() -> None:
        await server.ask("POST", "/tenants", {"name": "acme", "authorities": [pem("acme")]})
        for method, body in (("DELETE", None), ("PATCH", {"authorities": []})):
            answer = await server.ask(method, "/tenants/acme", body)
            assert answer.status == 409
            assert "take the authority out of tls.ca" in answer.body["detail"]
        removed = await server.ask("DELETE", "/tenants/acme", {"force": True})
        assert removed.status == 200, removed.text

    server.administer(story)


def test_a_name_of_earlier_times_is_not_used_again(server: Administered) -> None:
    """Objects that were left would belong to the new tenant."""
    set_tenants(server, tenant("lab", accounts=("lab-*",)))

    async def story() -> None:
        await create(server, "lab-1")

    server.administer(story)
    set_tenants(server)

    async def again() -> None:
        answer = await server.ask("POST", "/tenants", PATTERN)
        assert answer.status == 409
        assert "use another name" in answer.body["detail"]

    server.administer(again)


SHARED = """
[rules.share]
who = "backup"
allow = "Get"
objects.owners = "db01"
"""


def test_names_can_be_asked_about_as_lists_show_them(server: Administered) -> None:
    """An administrator copies them from one command to the next, and would find nothing."""
    set_tenants(server, tenant("acme"), tenant("globex"))

    async def story() -> None:
        [made] = await server.request(key("disk"), identity=member("acme"))
        await server.request(key("disk"), identity=member("globex"))
        [row] = (await server.ask("GET", "/objects", query={"owner": "tenant:acme:db01"})).body[
            "objects"
        ]
        assert row["id"] == f"tenant:acme:{made}"
        for query in ({"account": row["owner"]}, {"object": row["id"]}, {"object": str(made)}):
            found = (await server.ask("GET", "/audit", query=query)).body["records"]
            creations = [each for each in found if each["operation"] == "Create"]
            assert [each["objects"] for each in creations] == [[str(made)]], query

        policy = {"text": SHARED, "tenant": "acme"}
        assert (await server.ask("POST", "/policy/versions", policy)).status < 400
        asked = {"account": "tenant:acme:backup", "operation": "Get", "object": row["id"]}
        for query in (asked, asked | {"tenant": "acme"}, asked | {"object": str(made)}):
            answer = await server.ask("GET", "/policy/explain", query=query)
            assert (answer.body["allowed"], answer.body["by"]) == (True, "share")
        other = asked | {"account": "tenant:globex:backup"}
        assert (await server.ask("GET", "/policy/explain", query=other)).status == 400
        contradiction = asked | {"tenant": "globex"}
        assert (await server.ask("GET", "/policy/explain", query=contradiction)).status == 400

    server.administer(story)


# --- what the administrators of a tenant see ---------------------------------------------------------

SECRETS = ("globex", "nobody", "hidden")


async def fill(server: Administered) -> list[str]:
    """Objects, users and groups of two tenants and of nobody; the identifiers of the hidden ones."""
    hidden = []
    for of, name in (("acme", "shown"), ("globex", "hidden"), ("", "hidden")):
        administrator = member(of, ADMINISTRATOR)
        [made] = await server.request(key(f"{name}-disk"), identity=member(of, f"{name}-db"))
        user = {"name": f"{name}-user", "password": "secret word"}
        assert (await server.ask("POST", "/users", user, identity=administrator)).status == 200
        group = {"name": f"{name}-group"}
        assert (await server.ask("POST", "/groups", group, identity=administrator)).status == 200
        if name == "hidden":
            hidden.append(str(made))
    return hidden


def test_an_administrator_of_a_tenant_sees_nothing_of_others(server: Administered) -> None:
    """By any route that such an administrator may use."""
    set_tenants(server, tenant("acme"), tenant("globex"))
    boss = member("acme", ADMINISTRATOR)

    async def story() -> None:
        hidden = await fill(server)
        for row in ROUTES.rows:
            if row.name == "audit query":
                continue  # it has what the administrator has asked for, and a test of its own
            paths = [row.path]
            for field in row.path_fields:
                values = ["hidden-db", "hidden-user", "hidden-group", "globex", "1", *hidden]
                values += [f"tenant:globex:{each}" for each in ("hidden-db", *hidden)]
                paths = [path.replace(f"{{{field}}}", value) for path in paths for value in values]
            for path in paths:
                body = {"to": "x", "password": "y"} if row.method != "GET" else None
                answer = await server.ask(row.method, path, body, identity=boss)
                seen = answer.text.replace(path.rpartition("/")[2], "")
                for name in path.split("/"):
                    seen = seen.replace(name, "")
                assert not [each for each in (*SECRETS, *hidden) if each in seen], (row.name, seen)
                if row.who is Who.SERVER:
                    assert answer.status in {400, 403}, row.name
        for of, name in (("globex", "hidden"), ("", "hidden")):
            administrator = member(of, ADMINISTRATOR)
            users = (await server.ask("GET", "/users", identity=administrator)).body["users"]
            assert [each["name"] for each in users] == [f"{name}-user"]
            assert all(each["enabled"] for each in users)

    server.administer(story)


def test_an_administrator_of_a_tenant_manages_it_in_the_names_of_its_clients(
    server: Administered,
) -> None:
    set_tenants(server, tenant("acme"), tenant("globex"))
    boss = member("acme", ADMINISTRATOR)

    async def story() -> None:
        await fill(server)
        objects = (await server.ask("GET", "/objects", identity=boss)).body["objects"]
        assert {each["owner"] for each in objects} == {"shown-db", ""}
        [mine] = [each for each in objects if each["owner"] == "shown-db"]
        shown = await server.ask("GET", f"/objects/{mine['id']}", identity=boss)
        assert shown.body["object"]["names"] == ["shown-disk"]
        accounts = (await server.ask("GET", "/accounts", identity=boss)).body["accounts"]
        assert [each["name"] for each in accounts if each["administrator"]] == [ADMINISTRATOR]
        blocked = await server.ask("PUT", "/accounts/shown-db/block", {}, identity=boss)
        assert blocked.body["changed"]
        [refused] = await server.request(key("x"), identity=member("acme", "shown-db"))
        assert isinstance(refused, OperationFailed)
        own = await server.ask("GET", "/tenants", identity=boss)
        assert [each["name"] for each in own.body["tenants"]] == ["acme"]
        assert (await server.ask("GET", "/tenants/globex", identity=boss)).status == 404

    server.administer(story)


def test_the_audit_shows_a_tenant_its_own_records(server: Administered) -> None:
    set_tenants(server, tenant("acme"), tenant("globex"))

    async def story() -> None:
        await fill(server)
        for query in ({}, {"tenant": "acme"}, {"account": "hidden-db"}, {"limit": "1000"}):
            boss = member("acme", ADMINISTRATOR)
            found = (await server.ask("GET", "/audit", query=query, identity=boss)).body["records"]
            assert {each["client"]["tenant"] for each in found} <= {"acme"}
        root = member("", ADMINISTRATOR)
        found = (await server.ask("GET", "/audit", query={"tenant": "globex"}, identity=root)).body
        assert {each["client"]["account"] for each in found["records"]} >= {"hidden-db"}

    server.administer(story)


def test_a_tenant_of_the_name_of_a_removed_one_begins_without_its_policy(
    server: Administered,
) -> None:
    set_tenants(server, tenant("lab", accounts=("lab-*",)), tenant("other", accounts=("o-*",)))
    text = '[rules."no keys"]\ndeny = "Create"\n'

    def apply(store: Transaction) -> None:
        for name in ("lab", "other"):
            versions.apply(store, text, tenant=name, author="x", now=server.now)

    async def story() -> None:
        await server.store.run(apply, writes=True)
        [refused] = await server.request(key("disk"), identity="lab-1")
        assert isinstance(refused, OperationFailed)
        assert (await server.ask("DELETE", "/tenants/lab")).status == 200
        assert (await server.ask("POST", "/tenants", PATTERN)).status == 200
        await create(server, "lab-1")
        [refused] = await server.request(key("disk"), identity="o-1")
        assert isinstance(refused, OperationFailed)

    server.administer(story)


def test_nor_with_its_counts_and_blocks(server: Administered) -> None:
    set_tenants(server, tenant("lab", accounts=("lab-*",)))
    text = '[rules.few]\nrequire = "Create"\ncount = { times = 1, per = "day" }\n'

    async def story() -> None:
        await server.store.run(
            lambda store: versions.apply(store, text, author="x", now=server.now), writes=True
        )
        [made] = await server.request(key("disk"), identity="lab-1")
        await server.request(calls.destroy(made), identity="lab-1")
        [refused] = await server.request(key("disk"), identity="lab-1")
        assert isinstance(refused, OperationFailed)
        block = "/accounts/tenant:lab:lab-1/block"
        assert (await server.ask("PUT", block, {"reason": "lost"})).status == 200
        assert (await server.ask("DELETE", "/tenants/lab")).status == 200
        assert (await server.ask("POST", "/tenants", PATTERN)).status == 200
        await create(server, "lab-1")

    server.administer(story)


def test_an_explanation_names_no_rule_about_other_tenants(server: Administered) -> None:
    lab = tenant("lab", accounts=("lab-*",), administrators=("lab-root",))
    set_tenants(server, lab, tenant("globex", accounts=("g-*",)))
    text = (
        '[rules."globex has not paid"]\ndeny = "all"\nwho.tenants = "globex"\n'
        '[rules."nobody exports"]\ndeny = "Export"\n'
    )

    async def names(operation: str, identity: str, **query: str) -> list[str]:
        query |= {"account": "lab-1", "operation": operation}
        answer = await server.ask("GET", "/policy/explain", query=query, identity=identity)
        assert answer.status == 200, answer.text
        return [rule["name"] for rule in answer.body["rules"]]

    async def story() -> None:
        await server.store.run(
            lambda store: versions.apply(store, text, author="x", now=server.now), writes=True
        )
        assert await names("Export", "lab-root", owner="lab-1") == ["nobody exports"]
        assert await names("Create", "lab-root") == []
        assert len(await names("Create", ADMINISTRATOR, tenant="lab")) == 2

    server.administer(story)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/policy/versions", {}),
        ("/policy/versions/0", {}),
        ("/policy/explain", {"account": "a", "operation": "Create"}),
    ],
)
def test_the_policy_of_a_tenant_that_does_not_exist_is_refused(
    server: Administered, path: str, query: dict[str, str]
) -> None:
    """A name that is mistyped must not look like a tenant without rules."""

    async def story() -> None:
        answer = await server.ask("GET", path, query={"tenant": "acmee", **query})
        assert answer.status == 404
        assert "there is no tenant 'acmee'" in answer.text

    server.administer(story)


def test_who_asks_for_the_records_of_another_tenant_is_told_so(server: Administered) -> None:
    set_tenants(server, tenant("acme"), tenant("globex"))
    boss = member("acme", ADMINISTRATOR)

    async def story() -> None:
        for name, status in (("globex", 403), ("nowhere", 403), ("acme", 200)):
            answer = await server.ask("GET", "/audit", query={"tenant": name}, identity=boss)
            assert answer.status == status

    server.administer(story)


def test_all_faults_of_a_policy_are_told_in_one_line(server: Administered) -> None:
    async def story() -> None:
        text = '[rules.a]\nalow = "Get"\n[rules.b]\nallow = "Get"\n'
        answer = await server.ask("POST", "/policy/versions", {"text": text, "origin": "p.toml"})
        assert answer.status == 400
        assert "p.toml:2: rules.a.alow" in answer.body["detail"]
        assert "; p.toml:3: rules.b" in answer.body["detail"]
        assert "\n" not in answer.body["detail"]

    server.administer(story)


def test_a_policy_of_a_tenant_is_taken_back(server: Administered) -> None:
    """By an administrator of the server, who names the tenant beside the number in the path."""
    set_tenants(server, tenant("lab", accounts=("lab-*",)))
    versions_of_lab = "/policy/versions"

    async def story() -> None:
        for text in ("", '[rules.no]\ndeny = "Create"\n'):
            await server.ask("POST", versions_of_lab, {"text": text, "tenant": "lab"})
        [refused] = await server.request(key("disk"), identity="lab-1")
        assert isinstance(refused, OperationFailed)
        back = await server.ask("POST", f"{versions_of_lab}/1/revert", {"tenant": "lab"})
        assert (back.status, back.body.get("number")) == (200, 1), back.text
        await create(server, "lab-1")
        for number in ("one", "0", "-1", "1.5", "99999999999999"):
            path = f"{versions_of_lab}/{number}/revert"
            for body in ({"tenant": "lab"}, {}):
                answer = await server.ask("POST", path, body)
                assert (answer.status, "the parameter number" in answer.text) == (400, True)

    server.administer(story)


def test_a_change_of_nothing_is_no_version(server: Administered) -> None:
    set_tenants(server, tenant("lab"))

    async def story() -> None:
        answer = await server.ask("PATCH", "/tenants/lab", {})
        assert (answer.status, "nothing is to be changed" in answer.text) == (422, True)
        assert (await server.ask("GET", "/tenants")).body["version"] == 1

    server.administer(story)
