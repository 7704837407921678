"""A tenant counts what others do: by the gaps in numbers that the whole server shares."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from administered import Administered
from approving import Approving
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_client import calls
from kmipkit_server.administration import accounts
from kmipkit_server.net.sessions import Session
from kmipkit_server.policy.approvals import FIRST_OF_TENANTS
from kmipkit_server.store.concealed_numbers import Concealment
from policies import apply_policy
from tenancy import NOW

from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.masks import CryptographicUsageMask as Mask

CREATE = calls.create(CryptographicAlgorithm.AES, 128, Mask.ENCRYPT, None, None)
TENANTS = ("acme", "globex")
LARGE = 100_000
"""Larger than any number that the server itself counts in these tests."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Administered]:
    """A server with tenants by patterns, each with an administrator ``<tenant>-root``."""
    laboratory = Administered(tmp_path / "data")
    yield laboratory
    laboratory.close()


async def tenants(server: Administered) -> None:
    for name in TENANTS:
        tenant = {"name": name, "accounts": [f"{name}-*"], "administrators": [f"{name}-root"]}
        assert (await server.ask("POST", "/tenants", tenant)).status == 200
        for _ in range(3):
            await server.request(CREATE, identity=f"{name}-db")


async def pages(
    server: Administered, path: str, kind: str, **query: Any
) -> list[tuple[Any, int | None]]:
    found: list[tuple[Any, int | None]] = []
    after: tuple[tuple[str, int], ...] = ()
    while True:
        page = await server.ask("GET", path, query=(*query.items(), *after), identity="acme-root")
        assert page.status == 200, page.text
        found += [(page.body[kind], page.body["next"])]
        if page.body["next"] is None:
            return found
        after = (("after", page.body["next"]),)


@given(st.integers(0, (1 << 60) - 1), st.sampled_from(TENANTS), st.integers(1, 26))
def test_a_concealed_number_is_one_of_its_own(number: int, tenant: str, half: int) -> None:
    """Another object, or connection, would be meant than the one that was shown."""
    concealed = Concealment(b"key", tenant, "position", half)
    shown = concealed.conceal(number)
    assert concealed.reveal(shown) == number
    assert shown >> 2 * half == number >> 2 * half


def test_lists_go_on_by_numbers_that_do_not_count_the_objects_of_others(
    server: Administered,
) -> None:
    async def work() -> None:
        await tenants(server)
        for number in range(3):
            user = {"name": f"user-{number}", "password": "Tr0ub4dor&3"}
            assert (await server.ask("POST", "/users", user, identity="acme-root")).status == 200
        for path, kind, expected in (("/objects", "objects", 9), ("/users", "users", 3)):
            found = await pages(server, path, kind, limit=1)
            assert sum(len(each) for each, _ in found) == expected
            assert all(number > LARGE for _, number in found if number is not None)
        whole = await server.ask("GET", "/objects", query={"limit": 1})
        assert whole.body["next"] < LARGE, "for administrators of the server, it is a position"

    server.administer(work)


def test_audit_records_have_no_number_nor_hash_of_the_whole_log(server: Administered) -> None:
    async def work() -> None:
        await tenants(server)
        first = await server.ask("GET", "/audit", query={"limit": 2}, identity="acme-root")
        for record in first.body["records"]:
            assert record["n"] > LARGE
            assert record["client"]["tenant"] == "acme"
            assert "hash" not in record
        assert int(first.body["place"]) > LARGE
        await server.request(CREATE, identity="globex-db")
        await server.request(CREATE, identity="acme-db")
        query = {"after": first.body["place"]}
        later = await server.ask("GET", "/audit", query=query, identity="acme-root")
        assert [each["operation"] for each in later.body["records"]] == ["audit query", "Create"]

    server.administer(work)


def _session(number: int, account: str) -> Session:
    return Session(
        number=number, account=account, tenant="", user="", address="192.0.2.1", port=1,
        serial="", expires=NOW, tls="", age=1, silence=None, requests=1, waiting_for="a request",
        presented=(b"", account, ()),
    )  # fmt: skip


def test_connections_have_numbers_that_do_not_count_those_of_others(
    server: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [_session(1, "tenant:globex:globex-db"), _session(2, "tenant:acme:acme-db")]
    ended = []

    async def work() -> None:
        await tenants(server)
        live = server.api._parts.live
        assert live is not None

        async def all_() -> tuple[list[Session], int]:
            await trio.lowlevel.checkpoint()
            return sessions, 0

        async def end(number: int) -> bool:
            await trio.lowlevel.checkpoint()
            ended.append(number)
            return True

        monkeypatch.setattr(live.sessions, "all", all_)
        monkeypatch.setattr(live.sessions, "end", end)
        [shown] = (await server.ask("GET", "/sessions", identity="acme-root")).body["sessions"]
        assert shown["number"] != 2
        for number, status in ((1, 404), (2, 404), (shown["number"], 200)):
            answer = await server.ask("DELETE", f"/sessions/{number}", identity="acme-root")
            assert answer.status == status, answer.text

    server.administer(work)
    assert ended == [2]


def test_the_tenants_have_no_version_for_one_of_them(server: Administered) -> None:
    """It would say how many there are."""

    async def work() -> None:
        await tenants(server)
        assert (await server.ask("GET", "/tenants")).body["version"] == 2
        assert (await server.ask("GET", "/tenants", identity="acme-root")).body["version"] is None

    server.administer(work)


def test_requests_for_approval_have_numbers_that_do_not_count_those_of_others(
    tmp_path: Path,
) -> None:
    laboratory = Approving(tmp_path / "data", number=0)
    apply_policy(laboratory, '[rules.r]\nrequire = "create"\napprovals = { by = "officer" }')
    names = ("tenant:acme:me", "tenant:globex:me", "me", "tenant:acme:other", "other")
    numbers = {name: laboratory.asked(CREATE, name) for name in names}
    of_tenants = {number for name, number in numbers.items() if name.startswith("tenant:")}
    assert (numbers["me"], numbers["other"]) == (1, 2), "nor do those of the accounts without one"
    assert len(of_tenants) == 3
    assert min(of_tenants) > FIRST_OF_TENANTS + 3
    laboratory.approve(numbers["tenant:acme:me"], "officer")
    assert laboratory.do(CREATE, "tenant:acme:me")
    laboratory.close()


def test_the_blocks_of_a_tenant_leave_room_for_others(
    server: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator of a tenant could keep everybody else from blocking a stolen client."""
    monkeypatch.setattr(accounts, "MAX_BLOCKS", 4)
    monkeypatch.setattr(accounts, "MAX_BLOCKS_OF_TENANT", 2)

    async def block(name: str, by: str) -> int:
        answer = await server.ask("PUT", f"/accounts/{name}/block", {}, identity=by)
        return answer.status

    async def work() -> None:
        await tenants(server)
        assert [await block(f"a{number}", "acme-root") for number in range(3)] == [200, 200, 409]
        assert await block("stolen", "globex-root") == 200

    server.administer(work)


def test_an_account_of_another_tenant_cannot_be_named_in_a_block(server: Administered) -> None:
    """The command said that it had blocked an account that stayed as it was."""

    async def work() -> None:
        await tenants(server)
        path = "/accounts/tenant:globex:globex-db/block"
        answer = await server.ask("PUT", path, {}, identity="acme-root")
        assert (answer.status, "as it is called in the tenant" in answer.text) == (422, True)

    server.administer(work)
