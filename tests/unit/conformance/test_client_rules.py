"""Each rule for clients can be broken, and the client that does it is found out."""

from collections.abc import Iterator

import pytest
from broken_clients import BROKEN
from kmipkit_conformance.clients.rule import Standing
from kmipkit_conformance.clients.table import PROVOCATION_KEYS, RULES
from watched_clients import Watching, raw_client, verdicts, watching


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    with watching(tmp_path_factory.mktemp("impostor")) as found:
        yield found


def test_no_rule_is_without_a_client_that_breaks_it() -> None:
    assert {rule.key for rule in RULES} == set(BROKEN)
    provoked = {key for broken in BROKEN.values() for key in broken.provocations}
    assert provoked == set(PROVOCATION_KEYS)


@pytest.mark.parametrize("key", [rule.key for rule in RULES])
def test_a_client_that_breaks_a_rule_is_found_out(tester: Watching, key: str) -> None:
    broken = BROKEN[key]
    with raw_client(tester, broken.provocations) as client:
        broken.behave(client)
    verdict = verdicts(client.play.session)[key]
    assert verdict.standing is Standing.BROKEN, client.play.session.connections
    assert all(seen.where.startswith("connection ") for seen in verdict.broken)
