"""check-kms against a server of another vendor: without a fault all is well, and each fault is noticed.

The faults are mutants of :class:`ForeignServer`; a row says which step must notice it, how, and in which
words. The clock is moved, so that late answers take no time.
"""

import base64
import itertools
import json
import signal
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from foreign_key_server import NOW, ForeignServer, Refusal, StoredKey, Wire, got
from key_server_mutants import FAULTS, MUTANTS, late, refusing
from kmipkit_vsphere.check_kms.operation_advice import OPERATION_ADVICE
from kmipkit_vsphere.check_kms.report import lines, make_report
from kmipkit_vsphere.check_kms.runner import INTERRUPTED, Run, Verdict, play
from kmipkit_vsphere.check_kms.steps import CLEAN_UP, KEYS, OUTAGES, STEPS, Step, select
from kmipkit_vsphere.check_kms.subject import Options, Subject
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.errors import KeyServerUnreachable
from kmipkit_vsphere.providers.kmip_session import KeyServerRefused
from kmipkit_vsphere.vcenter.alarm_definitions import DEFINITIONS

from kmipkit import reports
from kmipkit.reports import Outcome
from kmipkit.spec.enums import Operation, ResultReason, State
from kmipkit.spec.tags import Tag

NEED_AN_ADDRESS = ("vsan-hosts", "renewed-certificate", "wrong-password", "stranger")
PLAYED = [step for step in (*KEYS, *OUTAGES, CLEAN_UP) if step.name not in NEED_AN_ADDRESS]
HOSTS = 3
SHORT = ("without payload", "another response")


def run(
    server: ForeignServer,
    *replicas: ForeignServer,
    played: Iterable[Step] = PLAYED,
    beside: Callable[[Subject], Any] | None = None,
) -> tuple[dict[str, Verdict], Run]:
    """The verdicts on a server by the names of the steps; ``beside`` runs at the same time."""

    async def check() -> Run:
        wires = [Wire(replica, f"kms{number}") for number, replica in enumerate(replicas, 2)]
        subject = Subject(Wire(server), wires, None, Options(HOSTS, 30.0), lambda: NOW)
        async with trio.open_nursery() as nursery:
            if beside is not None:
                nursery.start_soon(beside, subject)
            result = await play(list(played), subject, lambda _: None)
            nursery.cancel_scope.cancel()
        return result

    result = trio.run(check, clock=trio.testing.MockClock(autojump_threshold=0))
    return {verdict.step.name: verdict for verdict in result.verdicts}, result


def replicated() -> tuple[ForeignServer, ForeignServer]:
    keys: dict[str, StoredKey] = {}
    return ForeignServer(keys=keys), ForeignServer(keys=keys)


def test_a_server_without_faults_passes_every_step() -> None:
    verdicts, result = run(*replicated())
    assert [v.problem for v in verdicts.values() if v.problem] == []
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.PASSED}
    assert list(verdicts) == [step.name for step in PLAYED]
    assert not result.is_interrupted


# Faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MUTANTS)
def test_a_fault_is_noticed_by_the_right_step_and_cleaned_up_after(name: str) -> None:
    """It is the first step that fails; or the first one with a warning, if none fails."""
    mutant = MUTANTS[name]
    server = ForeignServer()
    mutant.mutate(server)
    other = StoredKey(bytes(range(32)), State.ACTIVE, {Tag.INITIAL_DATE: NOW - timedelta(days=1)})
    server.keys["somebody else's"] = other
    verdicts, _ = run(server)
    first = next(
        verdict
        for verdict in verdicts.values()
        if verdict.problem and verdict.outcome is mutant.outcome
    )
    assert (first.step.name, first.outcome) == (mutant.step, mutant.outcome), first.problem
    assert mutant.words in first.problem
    assert first.view is not None
    assert first.advice
    assert (other.data, other.state) == (bytes(range(32)), State.ACTIVE), "it is not ours"
    left = server.living - {"somebody else's"}
    problem = verdicts["clean-up"].problem
    named = any(key in problem for key in (*left, "f" * 600))
    assert not left or named or "nobody can name" in problem
    if name not in CANNOT_BE_REMOVED:
        assert not left
        assert not problem or name == "one key for equal requests"


CANNOT_BE_REMOVED = {
    "a connection breaks at the fifth Create",
    "empty identifier",
    "long identifier",
    "drops Create",
    "late Create",
    "late state",
    "Revoke without effect",
    "Destroy without effect",
}
"""Mutants that do not say what they have created, or do not destroy it; then a problem names it."""


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=() if fault in SHORT else pytest.mark.long) for fault in FAULTS],
)
@pytest.mark.parametrize("operation", sorted(ForeignServer().handlers))
def test_whatever_an_operation_answers_the_check_ends_with_verdicts(
    operation: Operation, fault: str
) -> None:
    server = ForeignServer()
    FAULTS[fault](operation)(server)
    verdicts, _ = run(server)
    assert [*verdicts] == [step.name for step in PLAYED]
    noticed = [verdict for verdict in verdicts.values() if verdict.problem]
    if operation in (Operation.REVOKE, Operation.DESTROY):
        noticed += [v for v in verdicts.values() if "let this client" in v.note]
    assert noticed, "no step says anything"
    problem = verdicts["clean-up"].problem
    assert not server.living or problem
    assert all(verdict.advice for verdict in verdicts.values() if verdict.view)


def test_a_defect_of_a_step_leaves_nothing_behind() -> None:
    """Then there is a traceback, but no key."""

    async def broken(_: Subject) -> str:
        raise RuntimeError("a defect")

    server = ForeignServer()
    played = [replace(step, run=broken) if step.name == "state" else step for step in PLAYED]
    with pytest.raises(BaseExceptionGroup):
        run(server, played=played)
    assert server.keys
    assert not server.living


# Several servers -------------------------------------------------------------------------------------


def copying(source: ForeignServer, copy: ForeignServer, seconds: float) -> None:
    """The copy has a key of the source some seconds after it was made."""
    made: dict[str, float] = {}

    def get(request: Any) -> Any:
        since = made.setdefault(request.unique_identifier, trio.current_time())
        if trio.current_time() - since < seconds:
            raise Refusal(ResultReason.ITEM_NOT_FOUND, "not here yet")
        return source.handlers[Operation.GET](request)

    copy.handlers[Operation.GET] = get


def on_replica(**changes: Any) -> dict[str, Verdict]:
    source, copy = replicated()
    for name, value in changes.items():
        value(source, copy) if callable(value) else setattr(copy, name, value)
    return run(source, copy)[0]


def test_servers_of_two_vendors_are_noticed() -> None:
    verdict = on_replica(vendor="Acme KMS 8.0 beta")["replica-vendor"]
    assert verdict.outcome is Outcome.FAILED
    assert "'Acme KMS 8.0 beta', that of the first server is 'Acme KMS 7.2'" in verdict.problem


def test_a_key_that_arrives_late_on_another_server_is_a_warning_with_the_time() -> None:
    verdict = on_replica(late=lambda source, copy: copying(source, copy, 4.0))["replica-keys"]
    assert verdict.outcome is Outcome.WARNED
    assert "only after 4." in verdict.problem
    assert verdict.view is not None
    assert verdict.view.colour is Color.YELLOW


def test_a_key_that_never_arrives_on_another_server_is_a_failure() -> None:
    verdict = on_replica(keys={})["replica-keys"]
    assert verdict.outcome is Outcome.FAILED
    assert "does not deliver a new key of the first server within 30 s" in verdict.problem


def test_other_bytes_on_another_server_are_a_failure() -> None:
    def change(source: ForeignServer, copy: ForeignServer) -> None:
        copy.handlers[Operation.GET] = lambda q: got(q.unique_identifier, bytes(32))

    verdict = on_replica(change=change)["replica-keys"]
    assert verdict.outcome is Outcome.FAILED
    assert "kms2 has other bytes" in verdict.problem


def test_another_server_that_is_down_is_a_failure() -> None:
    verdicts = on_replica(max_connections=0)
    assert verdicts["replica-vendor"].outcome is Outcome.FAILED
    assert verdicts["replica-keys"].outcome is Outcome.FAILED


# What depends on what --------------------------------------------------------------------------------


def test_what_depends_on_a_failed_step_is_skipped_and_says_why() -> None:
    server = ForeignServer()
    MUTANTS["lacks Activate"].mutate(server)
    verdicts, _ = run(server)
    skipped = {name: v.note for name, v in verdicts.items() if v.outcome is Outcome.SKIPPED}
    assert skipped["encrypt-machine"] == "needs activate, which failed"
    assert skipped["power-cut"] == "needs host-reboot, which was skipped"
    assert verdicts["unknown-key"].outcome is Outcome.PASSED
    assert verdicts["clean-up"].note == "2 keys destroyed"


@pytest.mark.parametrize(
    ("operation", "step", "advice"),
    [
        (Operation.ADD_ATTRIBUTE, "key-attributes", "Support Add Attribute"),
        (Operation.MODIFY_ATTRIBUTE, "key-attributes", "Support Modify Attribute"),
        (Operation.ADD_ATTRIBUTE, "tag-owner", "Store custom attributes"),
        (Operation.ACTIVATE, "activate", "Support Activate"),
        (Operation.GET, "get", "Answer Get of a Pre-Active key"),
    ],
)
def test_the_advice_is_about_the_operation_that_was_refused(
    operation: Operation, step: str, advice: str
) -> None:
    server = ForeignServer()
    refusing(operation, ResultReason.GENERAL_FAILURE)(server)
    verdict = run(server)[0][step]
    assert f"answers {operation.name} with" in verdict.problem
    assert verdict.advice.startswith(advice)


def test_a_create_that_fails_later_is_not_about_expired_keys() -> None:
    server = ForeignServer()
    count = itertools.count(1)
    refusing(Operation.CREATE, ResultReason.GENERAL_FAILURE, lambda *_: next(count) > 4)(server)
    verdict = run(server)[0]["re-encrypt"]
    assert verdict.advice == OPERATION_ADVICE[Operation.CREATE]


def test_a_client_that_may_not_revoke_skips_what_needs_it() -> None:
    server = ForeignServer()
    refusing(Operation.REVOKE, ResultReason.PERMISSION_DENIED)(server)
    verdicts, _ = run(server)
    assert verdicts["deactivated-key"].outcome is Outcome.SKIPPED
    assert "does not let this client Revoke a key" in verdicts["deactivated-key"].note
    assert verdicts["destroyed-key"].note == "needs deactivated-key, which was skipped"
    assert all(key in verdicts["clean-up"].problem for key in server.living)


def test_the_table_is_in_order() -> None:
    """Names are unique, and a step needs only earlier ones."""
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    for number, step in enumerate(STEPS):
        assert {*step.needs, *step.needs_any} <= set(names[:number]), step.name
        assert step.moment.endswith(".")
        assert step.advice.endswith(".")
        assert step.source


@pytest.mark.parametrize("name", [step.name for step in STEPS])
def test_the_colour_of_a_symptom_is_one_of_its_alarms(name: str) -> None:
    [step] = [step for step in STEPS if step.name == name]
    for failure in (KeyServerRefused("refused", None), KeyServerUnreachable("down")):
        alarms = step.symptom.alarms(failure)
        permitted = [DEFINITIONS[alarm].colours for alarm in alarms]
        assert not permitted or any(step.symptom.colour in colours for colours in permitted)
        assert bool(step.symptom.event_type(failure)) == (step.symptom.colour is not Color.GREEN)


def test_a_selection_has_what_it_needs() -> None:
    names = [step.name for step in select(["state"])]
    assert names == [
        "connect",
        "tls",
        "server-trust",
        "server-upload",
        "client-trust",
        "versions",
        "create",
        "state",
        "clean-up",
    ]
    assert select([]) == list(STEPS)
    with pytest.raises(KeyError):
        select(["state", "no such step"])


# Ctrl-C ----------------------------------------------------------------------------------------------


def interrupting(*seconds: float) -> Callable[[Subject], Any]:
    async def interrupt(_: Subject) -> None:
        for pause in seconds:
            await trio.sleep(pause)
            signal.raise_signal(signal.SIGINT)

    return interrupt


def test_after_ctrl_c_everything_is_removed() -> None:
    server = ForeignServer()
    late(Operation.GET, 10.0)(server)
    verdicts, result = run(server, beside=interrupting(5.0))
    assert result.is_interrupted
    assert verdicts["get"].note == INTERRUPTED
    assert verdicts["clean-up"].note == "2 keys destroyed"
    assert not server.living


def test_after_ctrl_c_a_key_that_is_being_created_is_removed_as_well() -> None:
    server = ForeignServer()
    late(Operation.CREATE, 4.0)(server)
    verdicts, result = run(server, beside=interrupting(2.0))
    assert result.is_interrupted
    assert verdicts["clean-up"].note == "1 key destroyed"
    assert not server.living


def test_a_create_whose_answer_does_not_come_is_reported() -> None:
    server = ForeignServer()
    late(Operation.CREATE, 20.0)(server)
    verdicts, _ = run(server, beside=interrupting(2.0))
    assert "not answered with an identifier (1 times)" in verdicts["clean-up"].problem


def test_a_server_that_is_gone_at_the_end_is_asked_once() -> None:
    server = ForeignServer()

    def vanish(request: Any) -> Any:
        server.max_connections = 0
        raise Refusal(ResultReason.GENERAL_FAILURE)

    server.handlers[Operation.ACTIVATE] = vanish
    verdicts, _ = run(server)
    problem = verdicts["clean-up"].problem
    assert all(key in problem for key in server.living)
    assert problem.count("connection refused") == 1


def test_a_second_ctrl_c_ends_the_clean_up_and_names_what_is_left() -> None:
    server = ForeignServer()
    late(Operation.GET, 10.0)(server)
    late(Operation.DESTROY, 20.0)(server)
    verdicts, _ = run(server, beside=interrupting(5.0, 5.0))
    assert len(server.living) == 1, "the answer to the first Destroy was on its way"
    assert all(key in verdicts["clean-up"].problem for key in server.living)


# Reports ---------------------------------------------------------------------------------------------


def test_the_reports_have_every_step_and_no_key(tmp_path: Any) -> None:
    server = ForeignServer(vendor="Acme <b>KMS</b>\x1b[2J")
    for name in ("short key", "refuses custom attributes"):
        MUTANTS[name].mutate(server)
    made: list[bytes] = []
    create = server.handlers[Operation.CREATE]

    def recorded(request: Any) -> Any:
        answer = create(request)
        made.append(server.keys[answer.unique_identifier].data)
        return answer

    server.handlers[Operation.CREATE] = recorded
    verdicts, result = run(server)
    report = make_report(result, "kms.example.com:5696", {"vendor": server.vendor})
    texts = [form(report) for form in reports.FORMS.values()]
    texts += ["\n".join(line for verdict in verdicts.values() for line in lines(verdict))]
    assert made
    for text in texts:
        assert all(line.isprintable() for line in text.split("\n"))
        assert "<b>KMS" not in texts[2]
        assert all(step.name in text for step in PLAYED)
        for key in (part for data in made for part in (data, data[:16])):
            assert key.hex() not in text.lower()
            assert base64.b64encode(key)[:20].decode() not in text
    document = json.loads(texts[1])
    [get] = [row for row in document["steps"] if row["step"] == "get"]
    assert get["client"]["color"] == "red"
    assert get["client"]["eventTypeId"] == "com.vmware.vc.kms.crypto.SendKeyError.KMSClusterError"
    assert (document["failed"], document["warned"]) == (1, 3)
    suite = ET.fromstring(texts[0])
    assert (suite.get("failures"), suite.get("tests")) == ("1", str(len(PLAYED)))


def test_the_requests_are_those_of_a_real_vcenter(shared: Path) -> None:
    server = ForeignServer()
    run(server)
    capture = json.loads((shared / "vcenter-capture.json").read_text())
    recorded = {bytes.fromhex(request["hex"]) for request in capture["requests"]}
    assert recorded <= set(server.requests)
