"""Servers that are hard to test: of old versions, without Query, that crash, hang, or restart.

Each is the server of a vendor, who loses the verdicts on everything else if the tester gives up.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_client import calls
from kmipkit_conformance.cases import SUITE, load, load_all
from kmipkit_conformance.cli import conformance
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.keeping import replacing
from kmipkit_conformance.player import Player
from kmipkit_conformance.running import play_all
from kmipkit_conformance.support import query_offer
from kmipkit_conformance.target import Target
from laboratory import Laboratory
from server_mutant_runner import player
from servers import RunningServer
from twisted_server import (
    Ask,
    Twist,
    TwistedServer,
    crashing,
    of_versions,
    operations,
    twisted,
    version_of,
    without,
)

from kmipkit.model.attribute import Attributes
from kmipkit.model.payloads.limits import (
    Constraint,
    Constraints,
    DefaultsInformation,
    GetConstraintsRequest,
    ObjectDefaults,
    ObjectTypes,
    SetConstraintsRequest,
    SetDefaultsRequest,
)
from kmipkit.model.payloads.query import QueryRequest
from kmipkit.model.structure import Structure
from kmipkit.reports import Outcome
from kmipkit.spec.enums import ObjectType, Operation, QueryFunction
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2, V1_4, V2_1, VERSIONS, Version
from kmipkit.ttlv.tree import Item

_OP = Operation
OLD = (V1_0, V1_1, V1_2)
LIFE = {
    version: load(path)
    for path in sorted(SUITE.rglob("KIT-LIFECYCLE-??.xml"))
    for version in [Version(*map(int, path.stem[-2:]))]
}


def target(server: RunningServer, front: TwistedServer, timeout: float = 30.0) -> Target:
    return Target("127.0.0.1", front.port, **server.credentials("tester"), timeout=timeout)


def run(server: RunningServer, port: int, report: Path, *options: str) -> tuple[Any, Any]:
    """The result of the command, and its JSON report."""
    files = [
        part for name, path in server.credentials("tester").items()
        for part in (f"--{name}", str(path))
    ]  # fmt: skip
    arguments = ["run", "--server", f"127.0.0.1:{port}", *files, "--report", f"json:{report}"]
    result = CliRunner().invoke(conformance, [*arguments, *options])
    return result, json.loads(report.read_text()) if report.exists() else None


@pytest.mark.parametrize(
    ("twist", "versions"),
    [
        (of_versions(OLD, lambda request, ask: ask(request)), OLD),
        (of_versions(OLD, lambda request, ask: ask(request), closes=True), OLD),
        (of_versions((V2_1,), lambda request, ask: ask(request)), (V2_1,)),
        (of_versions((V1_0,), without(_OP.DISCOVER_VERSIONS)), (V1_0,)),
        (of_versions((V2_1,), without(_OP.DISCOVER_VERSIONS), closes=True), (V2_1,)),
        (of_versions(OLD, without(_OP.DISCOVER_VERSIONS, _OP.QUERY)), OLD),
        (crashing(_OP.DISCOVER_VERSIONS), VERSIONS),
        (crashing(_OP.QUERY), VERSIONS),
        (without(_OP.QUERY), VERSIONS),
    ],
    ids=["old", "old, closes", "2.1", "1.0", "2.1 by trial", "old, mute", "no discovery", "no query",
         "query refused"],
)  # fmt: skip
def test_a_server_is_tested_in_the_versions_that_it_has(
    server: RunningServer, twist: Twist, versions: tuple[Version, ...]
) -> None:
    """Most servers in the field have no 2.x; some do not answer what tells that."""
    with twisted(server, twist) as front:
        judged = target(server, front)
        player = Player(judged, query_offer(judged))
        assert player.offer.versions == set(versions)
        for version in (V1_0, V1_4, V2_1):
            outcome = player.play(LIFE[version]).outcome
            assert outcome is (Outcome.PASSED if version in versions else Outcome.SKIPPED), version
        player.clean_up()


def test_operations_are_those_of_the_version_of_the_case(server: RunningServer) -> None:
    """A server may have Encrypt in 2.1 only: it does not fail the cases of 1.4."""

    def twist(request: Item, ask: Ask) -> Item:
        is_old = version_of(request) < V2_1
        return (without(_OP.QUERY, _OP.REVOKE) if is_old else lambda r, a: a(r))(request, ask)

    with twisted(server, twist) as front:
        offer = query_offer(target(server, front))
    assert offer.operations_in(V2_1) == offer.by_version[V2_1]
    assert V1_4 not in offer.by_version


@pytest.mark.parametrize("operation", [_OP.REVOKE, _OP.DESTROY])
def test_a_crash_is_a_verdict_and_not_the_end(
    server: RunningServer, operation: Operation, tmp_path: Path
) -> None:
    """The tester itself revokes and destroys what cases leave."""
    with twisted(server, crashing(operation)) as front:
        options = ("--kmip", "1.4", "--profile", "KIT-LIFECYCLE", "--profile", "KIT-LEASE")
        result, report = run(server, front.port, tmp_path / "r.json", *options)
    assert result.exit_code == 1
    assert report["problem"] == ""
    verdicts = {case["case"]: case["reasons"] for case in report["cases"]}
    title = operation.name.capitalize()
    crash = f"{title}: the server closed the connection without a response"
    assert verdicts["KIT-LIFECYCLE-14"] == [crash]
    assert "KIT-LEASE-14" in verdicts
    assert f"clean-up: {title}: the server closed the connection" in result.output
    assert report["clean_up"] == [f"{title}: the server closed the connection without a response"]


def test_a_malformed_response_in_the_clean_up_is_not_the_end(server: RunningServer) -> None:
    def twist(request: Item, ask: Ask) -> Item | bytes:
        is_destroy = operations(request) == [_OP.DESTROY]
        return bytes.fromhex("42007b0100000008 4200000000000000") if is_destroy else ask(request)

    with twisted(server, twist) as front:
        judged = target(server, front)
        player = Player(judged, query_offer(judged))
        result = play_all(player, [LIFE[V1_4], LIFE[V2_1]], {}, lambda _: None)
    assert result.problem == ""
    assert [verdict.outcome for verdict in result.verdicts] == [Outcome.FAILED] * 2


@dataclass
class Dying:
    """A server that ends for good with the first request for an operation, or comes back."""

    behind: RunningServer
    fatal: Operation
    returns: bool
    fronts: list[TwistedServer] = field(default_factory=list)

    def __call__(self, request: Item, ask: Ask) -> Item | None:
        if self.fatal not in operations(request) or len(self.fronts) > 1:
            return ask(request)
        [front] = self.fronts
        front.close()
        if self.returns:
            self.fronts.append(TwistedServer(self.behind, self, front.port))
        return None


TWO = ("--kmip", "1.3", "--kmip", "1.4", "--profile", "KIT-LIFECYCLE")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_case_that_ends_the_server_is_in_the_report(
    server: RunningServer, tmp_path: Path, jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one that the vendor needs."""
    monkeypatch.setattr("kmipkit_conformance.target.RESTART", 0.0)
    dying = Dying(server, _OP.REVOKE, returns=False)
    with twisted(server, dying) as front:
        dying.fronts.append(front)
        result, report = run(server, front.port, tmp_path / "r.json", *TWO, "--jobs", jobs)
    assert result.exit_code == 1
    assert "cannot connect: Connection refused" in report["problem"]
    assert report["not_played"] + len(report["cases"]) == 2
    ended = [reason for case in report["cases"] for reason in case["reasons"]]
    assert "Revoke: the server closed the connection without a response" in ended


def test_a_server_that_restarts_is_tested_on(server: RunningServer, tmp_path: Path) -> None:
    """Where something restarts it after a crash, the other cases are played as well."""
    dying = Dying(server, _OP.REVOKE, returns=True)
    with twisted(server, dying) as front:
        dying.fronts.append(front)
        result, report = run(server, front.port, tmp_path / "r.json", *TWO)
        dying.fronts[-1].close()
    assert result.exit_code == 1
    assert report["problem"] == ""
    assert len(report["cases"]) == 2


@pytest.mark.parametrize("form", ["json", "junit", "html"])
def test_a_server_that_is_not_there_is_in_the_report(
    server: RunningServer, tmp_path: Path, form: str
) -> None:
    """CI publishes the report of each run, and must not publish that of yesterday."""
    path = tmp_path / "report"
    files = server.credentials("tester").items()
    result = CliRunner().invoke(
        conformance,
        ["run", "--server", "127.0.0.1:1", "--kmip", "1.4", "--report", f"{form}:{path}"]
        + [part for name, file in files for part in (f"--{name}", str(file))],
    )
    assert result.exit_code == 1
    assert "127.0.0.1:1: cannot connect: Connection refused" in path.read_text()
    if form == "junit":
        assert 'errors="1"' in path.read_text()


def test_the_time_out_holds_before_the_first_case(server: RunningServer) -> None:
    """A port behind which nothing answers does not take half a minute."""

    def silent(request: Item, ask: Ask) -> None:
        del request, ask
        waiting.append(True)
        ended.wait()

    waiting: list[bool] = []
    ended = threading.Event()
    with twisted(server, silent) as front:
        try:
            with pytest.raises(ConformanceError, match="did not respond in time"):
                query_offer(target(server, front, timeout=0.2))
        finally:
            ended.set()
    assert len(waiting) <= 3


# --- What holds for the whole server ---------------------------------------------------------------


REPLACING = [case for case in load_all((SUITE,), frozenset({V2_1}), ("KIT-CON", "KIT-DEF"))
             if replacing(case)]  # fmt: skip
KEYS = ObjectTypes(object_types=(ObjectType.SYMMETRIC_KEY,))
LONG = Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 256))


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data", strict=True)
    yield laboratory
    laboratory.close()


def ask(laboratory: Laboratory, operation: Operation, payload: Structure) -> Any:
    return laboratory.ask(calls.raw(operation, payload), identity="administrator")


def settings(laboratory: Laboratory) -> tuple[Any, Any]:
    """The constraints and the defaults that hold."""
    query = QueryRequest(query_functions=(QueryFunction.QUERY_DEFAULTS_INFORMATION,))
    return (
        ask(laboratory, _OP.GET_CONSTRAINTS, GetConstraintsRequest()).constraints,
        ask(laboratory, _OP.QUERY, query).defaults_information,
    )


@pytest.mark.parametrize("breaks", [False, True], ids=["passes", "breaks off"])
@pytest.mark.parametrize("are_set", [False, True], ids=["none", "some"])
def test_constraints_and_defaults_are_what_they_were(
    laboratory: Laboratory, are_set: bool, breaks: bool
) -> None:
    """Those of an administrator would be lost with a run of the tester, without a word."""
    if are_set:
        rule = Constraints(constraints=(Constraint(object_types=KEYS, attributes=LONG),))
        ask(laboratory, _OP.SET_CONSTRAINTS, SetConstraintsRequest(constraints=rule))
        defaults = DefaultsInformation(
            object_defaults=(ObjectDefaults(object_types=KEYS, attributes=LONG),)
        )
        ask(laboratory, _OP.SET_DEFAULTS, SetDefaultsRequest(defaults_information=defaults))
    before = settings(laboratory)
    playing = player(laboratory)
    for case in REPLACING:
        cut = replace(case, steps=case.steps[:1]) if breaks else case
        assert playing.play(cut).outcome is Outcome.PASSED
    assert settings(laboratory) == before
    assert {case.name for case in REPLACING} >= {"KIT-CONSTRAINTS-21", "KIT-DEFAULTS-21"}


def test_what_the_server_does_not_tell_is_not_replaced(
    server: RunningServer, tmp_path: Path
) -> None:
    """The tester could not put it back. The case is skipped, and its reason says why."""
    sent: list[object] = []

    def twist(request: Item, ask: Ask) -> Item:
        sent.extend(operations(request))
        return without(_OP.GET_CONSTRAINTS)(request, ask)

    with twisted(server, twist) as front:
        options = ("--kmip", "2.1", "--profile", "KIT-CONSTRAINTS")
        result, report = run(server, front.port, tmp_path / "r.json", *options)
    assert result.exit_code == 0
    [case] = report["cases"]
    assert case["outcome"] == "skipped"
    assert "does not tell" in case["reasons"][0]
    assert _OP.SET_CONSTRAINTS not in sent
