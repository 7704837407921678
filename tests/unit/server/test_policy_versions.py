"""Versions of policies in the store: applied and taken back whole, and never read wrongly."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import stores
import trio
from kmipkit_client import calls
from kmipkit_server.policy import versions
from kmipkit_server.policy.active import NO_POLICY, ActivePolicies
from kmipkit_server.policy.errors import PolicyError
from kmipkit_server.policy.versions import UnknownVersion
from kmipkit_server.store.base import REVISION
from policies import PolicyLaboratory

from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.masks import CryptographicUsageMask

AES, MASK = CryptographicAlgorithm.AES, CryptographicUsageMask.ENCRYPT
DENY = '[rules.x]\nwho = "me"\ndeny = "Get"\n'
ALLOW = '[rules.y]\nwho = "guest"\nallow = "Get"\nobjects.owners = "me"\n'


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[PolicyLaboratory]:
    laboratory = PolicyLaboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


@pytest.fixture
def key(laboratory: PolicyLaboratory) -> str:
    identifier: str = laboratory.ask(calls.create(AES, 256, MASK, None, None))
    return identifier


def get(key: str) -> Any:
    return calls.get(key, None, None, None)


def test_each_change_is_in_force_with_the_next_request(
    laboratory: PolicyLaboratory, key: str
) -> None:
    assert laboratory.outcome(get(key)) == ""
    first = laboratory.apply(DENY, comment="no more", origin="p.toml")
    assert laboratory.outcome(get(key)) == "rule x"
    laboratory.pass_time(hours=1)
    second = laboratory.apply(ALLOW)
    assert laboratory.outcome(get(key)) == laboratory.outcome(get(key), "guest") == ""
    back = laboratory.revert(1)
    assert laboratory.outcome(get(key)) == "rule x"
    assert (first.previous, second.previous, back.previous) == (0, 1, 2)
    history = trio.run(laboratory.store.run, lambda reader: versions.history(reader, ""))
    assert [each.number for each in history] == [1, 2]  # going back makes no new version
    assert (history[0].comment, history[0].origin, history[0].text) == ("no more", "p.toml", DENY)
    assert history[1].time - history[0].time == laboratory.now - history[0].time


def test_answers_that_were_prepared_are_refused_as_well(
    laboratory: PolicyLaboratory, key: str
) -> None:
    """A Get that comes again and again is answered from memory, but not against the policy."""
    assert [laboratory.outcome(get(key)) for _ in range(5)] == [""] * 5
    laboratory.apply(DENY)
    assert [laboratory.outcome(get(key)) for _ in range(3)] == ["rule x"] * 3
    laboratory.apply("")
    assert laboratory.outcome(get(key)) == ""


def test_a_policy_survives_a_restart(tmp_path: Path) -> None:
    with closing(PolicyLaboratory(tmp_path / "data")) as laboratory:
        key = laboratory.ask(calls.create(AES, 256, MASK, None, None))
        laboratory.apply(DENY)
    with closing(PolicyLaboratory(tmp_path / "data")) as laboratory:
        assert laboratory.outcome(get(key)) == "rule x"


def test_a_document_with_faults_changes_nothing(laboratory: PolicyLaboratory, key: str) -> None:
    laboratory.apply(DENY)
    with pytest.raises(PolicyError):
        laboratory.apply("[rules.x]\n")
    with pytest.raises(UnknownVersion):
        laboratory.revert(7)
    assert laboratory.outcome(get(key)) == "rule x"
    assert laboratory.apply("").version.number == 2


def test_a_policy_that_was_not_committed_is_not_in_force(
    laboratory: PolicyLaboratory, key: str
) -> None:
    """Another request in the same group commit may have seen it, and must not remember it."""

    class Failed(Exception):
        pass

    def work(transaction: Any) -> None:
        versions.apply(transaction, DENY, author="x", now=laboratory.now)
        record = transaction.get(key)
        seen = laboratory.state.policies.of(transaction, "", record.revision)
        assert [rule.name for rule, _ in seen.rules()] == ["x"]
        raise Failed

    with pytest.raises(Failed):
        laboratory.change(work)
    assert laboratory.outcome(get(key)) == ""
    laboratory.apply(ALLOW)
    assert laboratory.outcome(get(key), "guest") == ""


def test_each_tenant_has_versions_of_its_own(laboratory: PolicyLaboratory) -> None:
    assert laboratory.apply(DENY, "acme").version.number == 1
    assert laboratory.apply(ALLOW, "acme").version.number == 2
    assert laboratory.apply(DENY, "ac/me").version.number == 1
    assert laboratory.apply(DENY).version.number == 1
    policies = ActivePolicies()

    def names(reader: Any, tenant: str) -> list[tuple[str, str]]:
        documents = policies.now(reader, tenant)
        return [(rule.name, policy.tenant) for rule, policy in documents.rules()]

    for tenant, expected in (
        ("acme", [("x", ""), ("y", "acme")]), ("ac/me", [("x", ""), ("x", "ac/me")]),
        ("other", [("x", "")]), ("", [("x", "")]),
    ):  # fmt: skip
        assert trio.run(laboratory.store.run, lambda reader: names(reader, tenant)) == expected  # noqa: B023


def test_a_new_tenant_has_nothing_of_a_removed_one(laboratory: PolicyLaboratory) -> None:
    laboratory.apply(DENY, "acme")
    laboratory.apply(DENY, "acme-2")

    def rules(reader: Any, tenant: str) -> int:
        return len(list(laboratory.state.policies.now(reader, tenant).rules()))

    assert trio.run(laboratory.store.run, lambda reader: rules(reader, "acme")) == 1
    laboratory.change(lambda transaction: versions.remove(transaction, "acme", laboratory.now))
    assert trio.run(laboratory.store.run, lambda reader: rules(reader, "acme")) == 0
    assert trio.run(laboratory.store.run, lambda reader: rules(reader, "acme-2")) == 1
    assert laboratory.apply(ALLOW, "acme").version.number == 1


# --- tampering -------------------------------------------------------------------------------------


def sql(folder: Path, statement: object, *values: object) -> None:
    stores.sql(folder / "data", str(statement), *values)


CHANGE, DELETE = (
    "UPDATE settings SET value = ? WHERE name LIKE ?",
    "DELETE FROM settings WHERE name LIKE ?",
)
TAMPERED: dict[str, tuple[object, ...]] = {
    "the text": (CHANGE, b"{}", "%version%"),
    "the pointer": (CHANGE, b'{"number": 2, "digest": ""}', "%active"),
    "no version": (DELETE, "%version%"),
    "no revision": (DELETE, REVISION),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_nobody_gets_objects_after_tampering(
    laboratory: PolicyLaboratory,
    key: str,
    case: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The policy may have denied what would now be permitted."""
    laboratory.apply(DENY)
    assert laboratory.outcome(get(key)) == "rule x"
    sql(tmp_path, *TAMPERED[case])
    if case != "no revision":
        laboratory.state.policies = ActivePolicies()  # as after a restart, or in another process
    caplog.set_level(logging.ERROR)
    assert laboratory.outcome(get(key)) == "PERMISSION_DENIED"
    assert laboratory.outcome(calls.create(AES, 256, MASK, None, None)) == "PERMISSION_DENIED"
    assert laboratory.outcome(calls.query(())) == ""  # tells nothing about objects
    assert "polic" in caplog.text
    assert " again" in caplog.text
    laboratory.apply(ALLOW)
    assert laboratory.outcome(get(key)) == ""


def test_another_process_changes_the_policy(laboratory: PolicyLaboratory, key: str) -> None:
    """What a process remembers is compared with the store in the view of each request."""
    laboratory.apply(DENY)
    assert laboratory.outcome(get(key)) == "rule x"
    other, laboratory.state.policies = laboratory.state.policies, ActivePolicies()
    laboratory.apply("")
    assert laboratory.outcome(get(key)) == ""
    laboratory.state.policies = other  # that of a process which was not told
    assert laboratory.outcome(get(key)) == ""
    assert laboratory.outcome(calls.create(AES, 256, MASK, None, None)) == ""


@pytest.mark.sqlite
def test_without_a_policy_nothing_is_looked_up(laboratory: PolicyLaboratory, key: str) -> None:
    """A Get costs what it cost before there were policies."""
    statements: list[str] = []

    async def run() -> None:
        reader = await laboratory.store.run(lambda reader: reader)
        reader.connection.set_trace_callback(statements.append)
        account = await laboratory.dispatcher.admit(await_identity())
        await laboratory.dispatcher.respond(await_data(key), account)
        reader.connection.set_trace_callback(None)

    laboratory.outcome(get(key))
    trio.run(run)
    assert len([each for each in statements if "settings" in each]) == 1, statements
    assert len([each for each in statements if "FROM objects" in each]) == 1, statements
    assert ActivePolicies().of(None, "", None) is NO_POLICY  # type: ignore[arg-type]  # not read


def await_identity() -> Any:
    from kmipkit_server.identity.identity import Identity

    return Identity("me")


def await_data(key: str) -> bytes:
    from kmipkit_client import messages

    from kmipkit.model.codec import encode
    from kmipkit.spec.versions import V2_1

    return encode(messages.request(V2_1, [get(key)]), V2_1)


def test_old_versions_are_not_kept_for_ever(
    laboratory: PolicyLaboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The administrators of one tenant could fill the disk of all. The way back stays open."""
    monkeypatch.setattr(versions, "VERSIONS_KEPT", 3)
    for _ in range(4):
        laboratory.apply(DENY)
    laboratory.revert(2)
    laboratory.apply(ALLOW)
    laboratory.apply(ALLOW, tenant="acme")
    history = trio.run(laboratory.store.run, lambda reader: versions.history(reader, ""))
    assert [each.number for each in history] == [2, 3, 4, 5]
    with pytest.raises(UnknownVersion):
        laboratory.revert(1)
    laboratory.revert(2)
    other = trio.run(laboratory.store.run, lambda reader: versions.history(reader, "acme"))
    assert [each.number for each in other] == [1]
