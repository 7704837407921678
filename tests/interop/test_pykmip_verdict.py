"""The tester judges others: our own suite against PyKMIP's server, and the verdict as a golden file.

``pykmip-verdict.json`` says for each case what came of it and at which step; docs/conformance.md
explains how to read it. Where PyKMIP changes, run this file as a program and look at what differs:

    python -m tests.interop.test_pykmip_verdict > tests/interop/pykmip-verdict.json
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kmipkit_certs import development
from kmipkit_conformance.cases import SUITE, load_all
from kmipkit_conformance.player import Player
from kmipkit_conformance.support import query_offer
from kmipkit_conformance.target import Target

from bench import servers

pytestmark = pytest.mark.standard

GOLDEN = Path(__file__).with_name("pykmip-verdict.json")

pytest.importorskip("kmip")


@contextmanager
def pykmip(folder: Path) -> Iterator[Target]:
    """PyKMIP's server, as a target."""
    pki = folder / "pki"
    development.ensure(
        pki, hosts=("127.0.0.1",), clients=("admin",), clock=lambda: datetime.now(UTC)
    )
    with servers.pykmip(folder, pki) as running:
        files = (pki / "ca.crt", pki / "admin.crt", pki / "admin.key")
        yield Target("127.0.0.1", running.port, *files)


def verdict(folder: Path) -> dict[str, str]:
    """Case to outcome: ``passed``, ``failed at step N``, or why it was not played."""
    with pykmip(folder) as target:
        player = Player(target, query_offer(target), repeat_timeout=1)
        found = {}
        for case in load_all((SUITE,), frozenset(), ()):
            one = player.play(case)
            told = {"failed": f"failed at step {one.step}", "skipped": "; ".join(one.reasons)}
            found[case.name] = told.get(one.outcome.value, one.outcome.value)
            player.clean_up()
        return found


def test_the_verdict_on_pykmip_is_the_one_that_is_checked_in(tmp_path: Path) -> None:
    assert verdict(tmp_path) == json.loads(GOLDEN.read_text())


def test_the_verdict_tells_servers_apart() -> None:
    """A tester that passes everybody, or nobody, would be of no use."""
    outcomes = list(json.loads(GOLDEN.read_text()).values())
    assert sum(outcome == "passed" for outcome in outcomes) >= 10
    assert sum(outcome.startswith("failed") for outcome in outcomes) >= 10


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(verdict(Path(place)), indent=1, ensure_ascii=False))
