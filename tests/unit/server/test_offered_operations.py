"""Operations and versions that an operator takes away from clients: Query says so, and they are refused.

Administrators and the server itself keep them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_client import Client, OperationFailed, calls, messages
from kmipkit_server.cli import serve
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.config.sources import with_options
from kmipkit_server.operations.table import STANDARD
from kmipkit_server.service.registry import Offer, offer, registry
from kmipkit_server.test_mode.faults.file import read
from laboratory import Laboratory

from kmipkit.spec.enums import (
    AsynchronousIndicator,
    BatchErrorContinuationOption,
    ClientRegistrationMethod,
    ObjectType,
    Operation,
    QueryFunction,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1, Version
from kmipkit.testing import Seed, key_server

CONTINUE = BatchErrorContinuationOption.CONTINUE
BASIC = ("Create", "Get", "Locate", "Query", "Discover Versions")


def kmip(**settings: Any) -> Mapping[str, Mapping[str, Any]]:
    return {"kmip": settings}


def told(client: Client) -> set[Operation]:
    return set(client.query(QueryFunction.QUERY_OPERATIONS).operations)


def refusal(client: Client, call: Any) -> ResultReason:
    with pytest.raises(OperationFailed) as caught:
        call(client)
    reason: ResultReason = caught.value.reason
    return reason


# --- operations ----------------------------------------------------------------------------------


def test_query_lists_exactly_what_is_answered() -> None:
    with key_server(settings=kmip(only_operations=BASIC)) as kms, kms.client() as client:
        assert {each.name for each in told(client)} == {
            "CREATE", "GET", "LOCATE", "QUERY", "DISCOVER_VERSIONS",
        }  # fmt: skip
        key = client.create()
        assert client.get(key)
        not_supported = ResultReason.OPERATION_NOT_SUPPORTED
        assert refusal(client, lambda kms: kms.activate(key)) is not_supported
        assert refusal(client, lambda kms: kms.destroy(key)) is not_supported


@pytest.mark.parametrize("name", ["Re-key Key Pair", "re-key-key-pair", "RE_KEY_KEY_PAIR"])
def test_one_operation_is_taken_away_however_it_is_written(name: str) -> None:
    with key_server(listen=False) as everything:
        before = set(everything.direct().query(QueryFunction.QUERY_OPERATIONS).operations)
    with key_server(settings=kmip(without_operations=(name,)), listen=False) as kms:
        after = set(kms.direct().query(QueryFunction.QUERY_OPERATIONS).operations)
    assert before - after == {Operation.RE_KEY_KEY_PAIR}
    assert after < before


def test_both_settings_together_leave_what_both_leave() -> None:
    settings = kmip(only_operations=BASIC, without_operations=("Get",))
    with key_server(settings=settings, listen=False) as kms:
        client = kms.direct()
        assert Operation.GET not in client.query(QueryFunction.QUERY_OPERATIONS).operations


def test_profiles_and_capabilities_follow() -> None:
    functions = (
        QueryFunction.QUERY_PROFILES,
        QueryFunction.QUERY_CAPABILITIES,
        QueryFunction.QUERY_CLIENT_REGISTRATION_METHODS,
    )
    with key_server(listen=False) as everything:
        whole = everything.direct().query(*functions)
    with key_server(settings=kmip(only_operations=BASIC), listen=False) as kms:
        less = kms.direct().query(*functions)
    profiles = [{each.profile_name for each in one.profile_information} for one in (whole, less)]
    assert profiles[0] > profiles[1]
    capabilities = [one.capability_information[0] for one in (whole, less)]
    for field in ("streaming_capability", "asynchronous_capability"):
        assert [getattr(each, field) for each in capabilities] == [True, False]
    assert less.client_registration_methods == (ClientRegistrationMethod.SERVER_PRE_GENERATED,)


def test_what_the_server_sends_can_be_taken_away() -> None:
    with key_server(settings=kmip(without_operations=("Notify", "Put")), listen=False) as kms:
        told_of = kms.direct().query(QueryFunction.QUERY_OPERATIONS).operations
    assert not {Operation.NOTIFY, Operation.PUT} & set(told_of)


def test_other_items_of_a_batch_are_carried_out() -> None:
    with key_server(["a"], settings=kmip(without_operations=("Activate",))) as kms:
        with kms.client() as client, client.batch(on_error=CONTINUE) as batch:
            refused = batch.activate(kms.ids["a"])
            found = batch.locate(name="a")
        assert found.value.ids == (kms.ids["a"],)
        with pytest.raises(OperationFailed, match="OPERATION_NOT_SUPPORTED"):
            _ = refused.value


@pytest.mark.parametrize(
    ("version", "indicator", "expected"),
    [
        (V1_4, True, ""),
        (V2_1, AsynchronousIndicator.OPTIONAL, ""),
        (V2_1, AsynchronousIndicator.MANDATORY, "FEATURE_NOT_SUPPORTED"),
    ],
)
def test_without_poll_nothing_is_carried_out_later(
    tmp_path: Path, version: Version, indicator: Any, expected: str
) -> None:
    """Otherwise a client would wait for a result that it cannot fetch."""
    rows = [row for row in STANDARD if row.operation is not Operation.POLL]
    laboratory = Laboratory(tmp_path / "data", offered=rows)
    request = messages.request(version, [calls.create()])
    header = request.request_header.replace(asynchronous_indicator=indicator)
    [item] = laboratory.send(request.replace(request_header=header), version).batch_items
    laboratory.close()
    assert (item.result_reason.name if item.result_reason else "") == expected
    assert item.result_status is not ResultStatus.OPERATION_PENDING


def test_administrators_and_rotation_keep_what_clients_may_not_ask_for() -> None:
    """Who takes Re-key away from clients still wants keys to be rotated."""
    settings = kmip(without_operations=("Re-key", "Create Group", "Destroy"))
    rotated = {"Rotate Automatic": True, "Rotate Interval": 86_400}
    with key_server([Seed("a", attributes=rotated)], settings=settings) as kms:
        kms.clock.advance(days=2)
        kms.clock.advance(minutes=2)
        replaced = kms.direct().get_attributes(kms.ids["a"], "Link")
        assert replaced.get(Tag.LINK)


# --- versions ------------------------------------------------------------------------------------


def test_versions_are_taken_away() -> None:
    with key_server(settings=kmip(versions=("1.4", "2.0"))) as kms:
        with kms.client() as client:
            assert client.version() == V2_0
            assert client.discover_versions() == (V2_0, V1_4)
        refused = pytest.raises(OperationFailed, match=r"KMIP 2\.1 is not supported.* 1\.4, 2\.0")
        with kms.client(version=V2_1) as client, refused:
            client.query()


def test_a_client_of_any_version_may_ask_which_ones_there_are() -> None:
    """Clients begin with Discover Versions in 1.1, which may be one that is gone."""
    with key_server(settings=kmip(versions=("2.1",))) as kms, kms.client() as client:
        assert client.version() == V2_1


# --- faults of a configuration -------------------------------------------------------------------


def configured(settings: dict[str, Any]) -> Offer:
    config = with_options(Config(), {"kmip": settings})
    return offer(config, registry(config))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"only_operations": ("Gett",)}, "kmip.only_operations: 'Gett'; did you mean Get?"),
        ({"without_operations": ("Eat",)}, "unknown operation in kmip.without_operations: 'Eat'"),
        ({"versions": ("1.5",)}, "kmip.versions has '1.5', but must be of 1.0, 1.1"),
    ],
)
def test_what_there_is_not_is_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        configured(settings)


def test_a_check_warns_of_clients_that_find_no_version(tmp_path: Path) -> None:
    file = tmp_path / "kms.toml"
    file.write_text('[kmip]\nwithout_operations = ["Discover Versions"]\n')
    done = CliRunner().invoke(
        serve, ["--config", str(file), "--data-dir", str(tmp_path / "d"), "--check-config"]
    )
    assert "warning: kmip: clients may not ask for Discover Versions" in done.output


def test_a_file_of_faults_can_take_away_as_well(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text('[kmip]\nversions = ["1.4"]\nonly_operations = ["Get", "Query"]\n')
    assert read(file).settings == {"versions": ("1.4",), "only_operations": ("Get", "Query")}


def test_the_command_takes_such_a_file(tmp_path: Path) -> None:
    file, data = tmp_path / "faults.toml", str(tmp_path / "d")
    trial = ["--test-mode", "--faults", str(file), "--data-dir", data, "--check-config"]
    file.write_text('[kmip]\nversions = ["1.9"]\n')
    refused = CliRunner().invoke(serve, trial)
    assert refused.exit_code == 1
    assert f"{file}: kmip.versions has '1.9'" in refused.output
    file.write_text('[kmip]\nonly_operations = ["Get"]\n')
    accepted = CliRunner().invoke(serve, trial)
    assert "clients may not ask for Discover Versions" in accepted.output


def test_what_is_wrong_in_such_a_file_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text('[kmip]\nversion = ["1.4"]\nonly_operations = "Get"\n')
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert [each.partition(": ")[2] for each in caught.value.faults] == [
        "[kmip]: unknown key 'version'; did you mean versions?",
        "[kmip]: only_operations must be a list of strings, not 'Get'",
    ]


# --- a Query that lies ---------------------------------------------------------------------------


def test_query_names_other_types_profiles_and_extensions() -> None:
    lie = {
        "objects": ["Secret Data"],
        "profiles": ["Baseline Server Basic KMIP v1.4"],
        "extensions": ["Location", "Rack"],
    }
    asked = (
        QueryFunction.QUERY_OBJECTS,
        QueryFunction.QUERY_PROFILES,
        QueryFunction.QUERY_EXTENSION_MAP,
    )
    with key_server() as kms, kms.client(version=V1_4) as client:
        kms.faults.add("query", **lie)
        answer = client.query(*asked)
        assert answer.object_types == (ObjectType.SECRET_DATA,)
        assert len(answer.profile_information) == 1
        named = [(each.extension_name, each.extension_tag) for each in answer.extension_information]
        assert named == [("Location", 0x540000), ("Rack", 0x540001)]
        listed = client.query(QueryFunction.QUERY_EXTENSION_LIST).extension_information
        assert [each.extension_tag for each in listed] == [None, None]
        assert not client.query(QueryFunction.QUERY_OBJECTS).extension_information
