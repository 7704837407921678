"""Chains of cases: what one needs from another follows from what both do."""

from dataclasses import replace
from pathlib import Path

import pytest
from case_texts import UID, attribute, item, request, response, write_case
from kmipkit_conformance import waiting
from kmipkit_conformance.accounts import accounts_of
from kmipkit_conformance.cases import Case, load
from kmipkit_conformance.chains import Library, requirements
from kmipkit_conformance.errata import ALTERNATIVES, alternatives_of
from kmipkit_conformance.player import Player
from kmipkit_conformance.support import query_offer
from kmipkit_conformance.target import Target
from servers import RunningServer

from kmipkit.reports import Outcome

KEY = (
    attribute("Cryptographic Algorithm", "AES", "Enumeration")
    + attribute("Cryptographic Length", "128", "Integer")
    + attribute("Cryptographic Usage Mask", "Encrypt Decrypt", "Integer")
)
SYMMETRIC = '<ObjectType type="Enumeration" value="SymmetricKey"/>'
FIRST = UID.format("$UNIQUE_IDENTIFIER_0")


def case(folder: Path, name: str, *steps: str) -> Case:
    path = folder / f"{name}.xml"
    path.write_text(f"<KMIP>{''.join(steps)}</KMIP>")
    return load(path)


def create(*attributes: str) -> str:
    template = f"<TemplateAttribute>{KEY}{''.join(attributes)}</TemplateAttribute>"
    return request("Create", SYMMETRIC + template) + response(item("Create", SYMMETRIC + FIRST))


def locate(*criteria: str, more: str = "", located: str = FIRST) -> str:
    return request("Locate", more + "".join(criteria)) + response(item("Locate", located))


def destroy() -> str:
    return request("Destroy", FIRST) + response(item("Destroy", FIRST))


GROUP = attribute("Object Group", "chain-group")
TYPE = attribute("Object Type", "SymmetricKey", "Enumeration")


def provider_names(folder: Path, dependent: Case) -> list[str]:
    providers, are_all = Library((folder,)).providers(dependent)
    assert are_all is bool(providers or not requirements(dependent))
    return [provider.name for provider in providers]


def test_an_identifier_first_seen_in_a_locate_is_of_another_case(tmp_path: Path) -> None:
    case(tmp_path, "X-M-1-14", create(GROUP))
    assert provider_names(tmp_path, case(tmp_path, "X-M-2-14", locate(GROUP))) == ["X-M-1-14"]


def test_a_case_that_locates_its_own_objects_needs_no_other(tmp_path: Path) -> None:
    assert requirements(case(tmp_path, "X-M-1-14", create(GROUP), locate(GROUP))) == []


def test_nothing_located_needs_nothing(tmp_path: Path) -> None:
    assert requirements(case(tmp_path, "X-M-1-14", locate(GROUP, located=""))) == []


def test_the_server_makes_fresh_members_of_a_group(tmp_path: Path) -> None:
    fresh = '<ObjectGroupMember type="Enumeration" value="GroupMemberFresh"/>'
    assert requirements(case(tmp_path, "X-M-1-14", locate(GROUP, more=fresh))) == []


def test_the_texts_of_the_locate_decide_before_the_names(tmp_path: Path) -> None:
    case(tmp_path, "X-M-1-14", create(attribute("Object Group", "another")))
    case(tmp_path, "Y-SETUP-1-13", create(GROUP))
    dependent = case(tmp_path, "X-M-2-14", locate(GROUP))
    assert provider_names(tmp_path, dependent) == ["Y-SETUP-1-13"]


def test_without_texts_the_nearest_case_before_it_decides(tmp_path: Path) -> None:
    for number in (1, 2, 9, 11):
        case(tmp_path, f"X-M-{number}-14", create())
    case(tmp_path, "X-M-9-13", create())
    case(tmp_path, "Y-M-9-14", create())
    assert provider_names(tmp_path, case(tmp_path, "X-M-10-14", locate(TYPE))) == ["X-M-9-14"]


def test_a_case_that_destroys_its_objects_leaves_none(tmp_path: Path) -> None:
    case(tmp_path, "X-M-1-14", create(GROUP))
    case(tmp_path, "X-M-2-14", create(GROUP), destroy())
    assert provider_names(tmp_path, case(tmp_path, "X-M-3-14", locate(GROUP))) == ["X-M-1-14"]


def test_a_case_that_is_named_alone_finds_the_files_next_to_it(tmp_path: Path) -> None:
    case(tmp_path, "X-M-1-14", create(GROUP))
    dependent = case(tmp_path, "X-M-2-14", locate(GROUP))
    providers, _ = Library((tmp_path / "X-M-2-14.xml",)).providers(dependent)
    assert [provider.name for provider in providers] == ["X-M-1-14"]


# --- played --------------------------------------------------------------------------------------


@pytest.fixture
def player(server: RunningServer) -> Player:
    files = server.credentials("chains")
    target = Target("127.0.0.1", server.port, **files)
    return Player(target, query_offer(target), repeat_timeout=30)


def test_a_chain_is_played_and_removed(player: Player, tmp_path: Path) -> None:
    """The key is the server's, so the second case cannot know its value either."""
    case(tmp_path, "X-M-1-14", create(GROUP))
    value = (
        '<SymmetricKey><KeyBlock><KeyFormatType type="Enumeration" value="Raw"/><KeyValue>'
        f'<KeyMaterial type="ByteString" value="{"00" * 16}"/></KeyValue>'
        '<CryptographicAlgorithm type="Enumeration" value="AES"/>'
        '<CryptographicLength type="Integer" value="128"/></KeyBlock></SymmetricKey>'
    )
    get = request("Get", FIRST) + response(item("Get", SYMMETRIC + FIRST + value))
    dependent = case(tmp_path, "X-M-2-14", locate(GROUP), get)
    complete = replace(player, library=Library((tmp_path,)))
    verdict = complete.play(dependent)
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())
    complete.clean_up()
    verdict = complete.play(case(tmp_path, "X-M-3-14", locate(GROUP, located="")))
    assert verdict.outcome is Outcome.PASSED, "the objects of the chain are gone"


def test_a_case_without_its_provider_is_skipped(player: Player, tmp_path: Path) -> None:
    verdict = player.play(case(tmp_path, "X-M-2-14", locate(GROUP)))
    assert verdict.outcome is Outcome.SKIPPED
    assert "another case" in verdict.reasons[0]


def test_of_alternatives_one_passes_and_the_other_does_not_count(
    player: Player, tmp_path: Path
) -> None:
    seed = request("RNGSeed", '<Data type="ByteString" value="00"/>')
    used = item("RNGSeed", '<DataLength type="Integer" value="1"/>')
    refused = item(
        "RNGSeed", "", "OperationFailed",
        '<ResultReason type="Enumeration" value="PermissionDenied"/>',
    ).replace("<ResponsePayload></ResponsePayload>", "")  # fmt: skip
    case(tmp_path, "CS-RNG-O-1-14", seed + response(used))
    denied = case(tmp_path, "CS-RNG-O-4-14", seed + response(refused))
    assert player.play(denied).outcome is Outcome.FAILED, "the alternative is not at hand"
    verdict = replace(player, library=Library((tmp_path,))).play(denied)
    assert verdict.outcome is Outcome.SKIPPED
    assert verdict.reasons[0].startswith("the server behaves as in CS-RNG-O-1-14")


def test_alternatives_are_of_the_same_version() -> None:
    names, reason = alternatives_of("TC-OTP-3-13")
    assert names == ["TC-OTP-4-13"]
    assert "1.3 §4.11" in reason
    assert alternatives_of("TC-OTP-5-13") == ([], "")
    assert all("§" in group.reason for group in ALTERNATIVES)


# --- waiting -------------------------------------------------------------------------------------


def dates(first: str, last: str) -> str:
    activation = attribute("Activation Date", first, "DateTime")
    deactivation = attribute("Deactivation Date", last, "DateTime")
    return create(activation, deactivation)


def state(value: str) -> str:
    shown = attribute("State", value, "Enumeration")
    name = '<AttributeName type="TextString" value="State"/>'
    return request("GetAttributes", FIRST + name) + response(item("GetAttributes", FIRST + shown))


def test_a_case_waits_where_only_time_can_change_the_answer(tmp_path: Path) -> None:
    waits = case(
        tmp_path, "X-1-14", dates("$NOW", "$NOW+120"), state("Active"), state("Deactivated")
    )
    assert waiting.waiting_step(waits) == 2
    assert waiting.shift(waits) == 120 - waiting.REMAINING
    still = case(tmp_path, "X-2-14", dates("$NOW", "$NOW+120"), state("Active"), state("Active"))
    assert waiting.waiting_step(still) is None
    assert waiting.shift(still) == 0


def test_the_tester_moves_the_dates_instead_of_waiting(player: Player, tmp_path: Path) -> None:
    waits = case(
        tmp_path, "X-1-14", dates("$NOW", "$NOW+3600"), state("Active"), state("Deactivated")
    )
    verdict = player.play(waits)
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())
    player.clean_up()


# --- users ---------------------------------------------------------------------------------------


def credential(name: str) -> str:
    return (
        '<Authentication><Credential><CredentialType type="Enumeration"'
        ' value="UsernameAndPassword"/><CredentialValue>'
        f'<Username type="TextString" value="{name}"/>'
        '<Password type="TextString" value="secret"/>'
        "</CredentialValue></Credential></Authentication><BatchCount"
    )


def by(name: str, step: str) -> str:
    return step.replace("<BatchCount", credential(name), 1)


def test_several_users_need_accounts_and_one_does_not(tmp_path: Path) -> None:
    alone = case(tmp_path, "X-1-14", by("Fred", create()), by("Fred", destroy()))
    assert accounts_of(alone) == []
    both = case(tmp_path, "X-2-14", by("Fred", create()), by("Barney", destroy()))
    assert [account.name for account in accounts_of(both)] == ["Fred", "Barney"]


def test_users_are_made_for_the_case_and_removed(own_server: RunningServer, tmp_path: Path) -> None:
    server = own_server.start()
    target = Target("127.0.0.1", server.port, **server.credentials())
    player = Player(target, query_offer(target))
    refused = (
        item("Get", "", "OperationFailed",
             '<ResultReason type="Enumeration" value="PermissionDenied"/>')
        .replace("<ResponsePayload></ResponsePayload>", "")
    )  # fmt: skip
    get = request("Get", FIRST) + response(refused)
    users = case(
        tmp_path, "X-1-14",
        by("Fred", create()), by("Barney", get), by("Fred", destroy()),
    )  # fmt: skip
    for _ in range(2):
        verdict = player.play(users)
        assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())
    alone = case(tmp_path, "X-2-14", by("Fred", create()), destroy())
    assert player.play(alone).outcome is Outcome.PASSED, "there is no user any more"


def test_no_file_but_the_cases_is_read(tmp_path: Path) -> None:
    write_case(tmp_path, "MSGENC-JSON-M-1-14")
    (tmp_path / "index.json").write_text("not JSON")
    loaded = load(tmp_path / "MSGENC-JSON-M-1-14.xml")
    assert (loaded.transport, loaded.encoding) == ("https", "json")
