"""The file of faults: everything that is wrong in it is reported at once."""

from pathlib import Path

import pytest
from kmipkit_client import calls, messages
from kmipkit_server.config import ConfigError
from kmipkit_server.test_mode.faults.fault import Faults
from kmipkit_server.test_mode.faults.file import read
from kmipkit_server.test_mode.faults.kinds import KINDS
from laboratory import Laboratory

from kmipkit.model.codec import encode
from kmipkit.spec.enums import Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_4

FILE = """
seed = 7

[[fault]]
name = "drop"
operations = ["Get", "create-key-pair"]
clients = ["app1"]
calls = [2, 3]
probability = 0.25
after = 20

[[fault]]
name = "versions"
only = ["1.0", "1.1"]

[[fault]]
name = "tag"
field = "Unique Identifier"
value = 0x540001
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "faults.toml"
    path.write_text(text)
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    faults = read(written(tmp_path, FILE))
    drop, versions, tag = faults
    assert faults.seed == 7
    assert drop.operations == {Operation.GET, Operation.CREATE_KEY_PAIR}
    assert (drop.clients, drop.calls, drop.probability) == ({"app1"}, {2, 3}, 0.25)
    assert drop.parameters == {"after": 20}
    assert versions.parameters == {"only": (V1_0, V1_1)}
    assert tag.parameters == {"field": Tag.UNIQUE_IDENTIFIER, "value": 0x540001}


WRONG = """
sead = 7

[[fault]]
operations = ["Get"]

[[fault]]
name = "dropp"

[[fault]]
name = "drop"
after = "20"
"""


def test_everything_that_is_wrong_is_reported(tmp_path: Path) -> None:
    path = written(tmp_path, WRONG)
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert caught.value.faults == (
        f"{path}: unknown key 'sead'; did you mean seed?",
        f"{path}: [[fault]] 1: the name is missing",
        f"{path}: [[fault]] 2: unknown fault 'dropp'; did you mean drop?",
        f"{path}: [[fault]] 3: fault drop: after must be a whole number, not '20'",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = true", "seed must be a whole number, not True"),
        ("fault = 3", "each fault must be a table"),
        ("[[fault]", "not valid TOML"),
    ],
)
def test_what_is_not_a_file_of_faults(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"faults\.toml: No such file"):
        read(tmp_path / "faults.toml")


@pytest.mark.parametrize("name", KINDS)
def test_each_fault_says_what_it_does(name: str) -> None:
    """The documentation takes the sentence and the parameters from the table."""
    assert KINDS[name].meaning.endswith(".")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tag", {"value": 2**30}),
        ("tag", {"value": -1}),
        ("length", {"add": 2**40}),
        ("length", {"add": -(10**6)}),
        ("time-stamp", {"seconds": 2**70}),
        ("batch-count", {"add": 2**40 + 1}),
    ],
)
def test_a_number_of_any_size_makes_a_wrong_answer(
    name: str, options: dict[str, int], tmp_path: Path
) -> None:
    """It is cut to what the field can have; the server goes on."""
    laboratory = Laboratory(tmp_path / "data")
    request = encode(messages.request(V1_4, [calls.query(())]), V1_4)
    answer = laboratory.exchange(request)
    laboratory.close()
    changed = Faults().add(name, **options).changed(answer, request)
    assert changed is not None
    assert changed != answer
    assert len(changed) == len(answer)


def test_a_time_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="seconds must be a number, not nan"):
        Faults().add("delay", seconds=float("nan"))
