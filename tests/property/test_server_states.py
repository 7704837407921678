"""Random operations on random objects, against a model of the life cycle in ten lines."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from kmipkit_client import OperationFailed, calls, material
from laboratory import Laboratory
from lengths import examples

from kmipkit.spec.enums import CryptographicAlgorithm, RevocationReasonCode, State
from kmipkit.spec.masks import CryptographicUsageMask, StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_4, V2_1

USAGE = CryptographicUsageMask.ENCRYPT
LOST = (State.DESTROYED, State.DESTROYED_COMPROMISED)

# The whole model: (state, event) to state; what is missing is refused (KMIP 1.4 §3.22).
MODEL = {
    (State.PRE_ACTIVE, "activate"): State.ACTIVE,
    (State.PRE_ACTIVE, "destroy"): State.DESTROYED,
    (State.PRE_ACTIVE, "compromise"): State.COMPROMISED,
    (State.ACTIVE, "revoke"): State.DEACTIVATED,
    (State.ACTIVE, "compromise"): State.COMPROMISED,
    (State.DEACTIVATED, "compromise"): State.COMPROMISED,
    (State.DEACTIVATED, "destroy"): State.DESTROYED,
    (State.COMPROMISED, "destroy"): State.DESTROYED_COMPROMISED,
    (State.DESTROYED, "compromise"): State.DESTROYED_COMPROMISED,
}

CALLS = {
    "activate": calls.activate,
    "destroy": calls.destroy,
    "revoke": lambda key: calls.revoke(key, RevocationReasonCode.UNSPECIFIED, None, None),
    "compromise": lambda key: calls.revoke(key, RevocationReasonCode.KEY_COMPROMISE, None, None),
}
VERSIONS = st.sampled_from([V1_0, V1_4, V2_1])


class KeysOfAServer(RuleBasedStateMachine):
    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.laboratory = Laboratory(self.folder)
        self.states: dict[str, State] = {}
        self.activation: dict[str, Any] = {}
        self.material: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.laboratory.close()
        shutil.rmtree(self.folder)

    @rule(target=keys, hours=st.none() | st.integers(-2, 3), version=VERSIONS)
    def create(self, hours: int | None, version: Any) -> str:
        lab = self.laboratory
        date = None if hours is None else lab.now + timedelta(hours=hours)
        attributes = {} if date is None else {"Activation Date": date}
        call = calls.create(CryptographicAlgorithm.AES, 128, USAGE, None, attributes)
        key: str = lab.ask(call, version)
        self.material[key] = material(lab.ask(calls.get(key, None, None, None), version))
        self.states[key], self.activation[key] = State.PRE_ACTIVE, date
        return key

    @rule(key=keys, event=st.sampled_from(sorted(CALLS)), version=VERSIONS)
    def change(self, key: str, event: str, version: Any) -> None:
        expected = MODEL.get((self.state(key), event))
        try:
            self.laboratory.ask(CALLS[event](key), version)
        except OperationFailed:
            assert expected is None, f"{self.state(key).name} refuses {event}"
        else:
            assert expected is not None, f"{self.state(key).name} takes {event}"
            self.states[key] = expected

    @rule(hours=st.integers(1, 2))
    def wait(self, hours: int) -> None:
        self.laboratory.pass_time(hours=hours)

    def state(self, key: str) -> State:
        """What the model says, dates included."""
        state, date = self.states[key], self.activation[key]
        if state is State.PRE_ACTIVE and date is not None and date <= self.laboratory.now:
            return State.ACTIVE
        return state

    @invariant()
    def every_key_is_as_the_model_says(self) -> None:
        lab = self.laboratory
        for key in self.states:
            current = lab.ask(calls.get_attributes(key, ("State",))).get(Tag.STATE)
            assert current is self.state(key)

    @invariant()
    def material_is_there_until_it_is_destroyed_and_never_changes(self) -> None:
        for key, data in self.material.items():
            try:
                current = material(self.laboratory.ask(calls.get(key, None, None, None)))
            except OperationFailed:
                assert self.state(key) in LOST
            else:
                assert current == data
                assert self.state(key) not in LOST

    @invariant()
    def locate_agrees_by_state_and_by_storage(self) -> None:
        lab = self.laboratory
        for state in State:
            expected = {key for key in self.states if self.state(key) is state}
            mask = StorageStatusMask.DESTROYED_STORAGE if state in LOST else None
            located = lab.ask(calls.locate(None, None, {"State": state}, None, None, mask))
            assert set(located.ids) == expected
        online = StorageStatusMask.ON_LINE_STORAGE
        located = lab.ask(calls.locate(None, None, None, None, None, online))
        assert set(located.ids) == {key for key in self.states if self.state(key) not in LOST}


TestKeysOfAServer = KeysOfAServer.TestCase
TestKeysOfAServer.settings = settings(
    max_examples=examples(25), stateful_step_count=20, deadline=None
)
