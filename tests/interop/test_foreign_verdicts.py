"""The tester judges others: our own suite against servers of others, and the verdicts as golden files.

``verdicts/NAME.json`` says for each case what came of it: ``passed``, why it was not played, or the step
that failed and the claim that it breaks. docs/foreign-servers.md has the clause and a judgement for each
failure; a failure without one fails here. Where a server changes, write its file anew, and look at what
differs:

    PYTHONPATH=tests:. python tests/interop/test_foreign_verdicts.py NAME
"""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from kmipkit_certs import development
from kmipkit_conformance.cases import SUITE, load_all
from kmipkit_conformance.player import Player, Verdict
from kmipkit_conformance.support import query_offer
from kmipkit_conformance.target import Target
from programs import GO, PROGRAMS, build, fetch, locked, require

from bench import servers
from kmipkit.reports import Outcome

pytestmark = pytest.mark.standard

GOLDEN = Path(__file__).with_name("verdicts")
PAGE = Path(__file__).parents[2] / "docs" / "foreign-servers.md"
NAMES = ("pykmip", "kmip-go")


@contextmanager
def target(
    folder: Path, start: Callable[[Path], AbstractContextManager[servers.Server]]
) -> Iterator[Target]:
    """A server with certificates of its own, as a target."""
    pki = folder / "pki"
    development.ensure(
        pki, hosts=("127.0.0.1",), clients=("admin",), clock=lambda: datetime.now(UTC)
    )
    with start(pki) as running:
        files = (pki / "ca.crt", pki / "admin.crt", pki / "admin.key")
        yield Target("127.0.0.1", running.port, *files)


def pykmip(folder: Path) -> AbstractContextManager[Target]:
    """PyKMIP's server."""
    pytest.importorskip("kmip")
    return target(folder, lambda pki: servers.pykmip(folder, pki))


def kmip_go(folder: Path, sources: Path) -> AbstractContextManager[Target]:
    """The small server on the server package of ovh/kmip-go."""
    require(GO)
    with locked(sources):
        fetch(["go", "mod", "download"], sources)
        build(["go", "build", "-buildvcs=false", "-o", "server", "."], sources)
    return target(folder, lambda pki: servers.run(str(sources / "server"), str(pki)))


def verdicts(judged: Target) -> dict[str, str]:
    """Case to outcome; see the head of this file."""
    player = Player(judged, query_offer(judged), repeat_timeout=1)
    found = {}
    for case in load_all((SUITE,), frozenset(), ()):
        found[case.name] = told(player.play(case))
        player.clean_up()
    return found


def told(verdict: Verdict) -> str:
    match verdict.outcome:
        case Outcome.FAILED:
            return f"failed at step {verdict.step}: {verdict.claim}"
        case Outcome.SKIPPED:
            return "; ".join(verdict.reasons)
        case outcome:
            return outcome.value


def golden(name: str) -> dict[str, str]:
    return json.loads((GOLDEN / f"{name}.json").read_text())  # type: ignore[no-any-return]


def failed(name: str) -> set[str]:
    """The cases that a server fails."""
    return {case for case, outcome in golden(name).items() if outcome.startswith("failed")}


def judged(name: str) -> list[str]:
    """The patterns of cases that have a row in the server's section of the page."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    [section] = (each for each in sections if each.startswith(f"{name}\n"))
    rows = re.findall(r"^\| (KIT-[^|]+) \|", section, flags=re.MULTILINE)
    return [pattern.strip() for row in rows for pattern in row.split(",")]


def test_the_verdict_on_pykmip(tmp_path: Path) -> None:
    with pykmip(tmp_path) as server:
        assert verdicts(server) == golden("pykmip")


def test_the_verdict_on_a_server_on_kmip_go(
    tmp_path: Path, workshop: Callable[[str], Path]
) -> None:
    with kmip_go(tmp_path, workshop("server")) as server:
        assert verdicts(server) == golden("kmip-go")


@pytest.mark.parametrize("name", NAMES)
def test_each_failure_has_been_compared_with_its_clause(name: str) -> None:
    """A tester that is wrong is worthless: nobody's failure is reported unread."""
    patterns = judged(name)
    unread = {
        case
        for case in failed(name)
        if sum(fnmatchcase(case, f"{each}-[123][0-4]") for each in patterns) != 1
    }
    assert not unread
    for pattern in patterns:
        assert any(fnmatchcase(case, f"{pattern}-[123][0-4]") for case in failed(name)), pattern


@pytest.mark.parametrize("name", NAMES)
def test_the_verdict_tells_servers_apart(name: str) -> None:
    """A tester that passes everybody, or nobody, would be of no use."""
    outcomes = list(golden(name).values())
    assert sum(outcome == "passed" for outcome in outcomes) >= 10
    assert sum(outcome.startswith("failed") for outcome in outcomes) >= 10


def main(name: str) -> None:
    """Write a golden file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sources = folder / "sources"
        shutil.copytree(PROGRAMS / "server", sources)
        is_go = name == "kmip-go"
        with kmip_go(folder, sources) if is_go else pykmip(folder) as server:
            text = json.dumps(verdicts(server), indent=1, ensure_ascii=False)
    (GOLDEN / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
