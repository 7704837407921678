"""TOML that people write: a fault in it is told as one, and never a traceback."""

import tomllib
from pathlib import Path

import pytest
from kmipkit_conformance import deviations
from kmipkit_conformance.errors import ConformanceError
from kmipkit_load import mixes
from kmipkit_load.errors import MixError
from kmipkit_server.config.errors import ConfigError
from kmipkit_server.policy.document import read_policy
from kmipkit_server.policy.errors import PolicyError
from kmipkit_server.test_mode.faults import file as faults

from kmipkit.toml_text import parse

DEEP = "a = " + "[" * 5000 + "]" * 5000
LONG = "a = " + "1" * 5000
"""Python refuses to convert it, since that would take long."""


@pytest.mark.parametrize("text", [DEEP, LONG, "a = ", "a = 1\na = 2"], ids=lambda text: text[:9])
def test_all_faults_are_faults_of_toml(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        parse(text)


@pytest.mark.parametrize("text", [DEEP, LONG], ids=["deep", "long"])
def test_each_file_that_people_write_is_told_to_be_wrong(tmp_path: Path, text: str) -> None:
    """The user of a tool, or an administrator over the network, would see a defect instead."""
    path = tmp_path / "file.toml"
    path.write_text(text)
    with pytest.raises(MixError, match="not valid TOML"):
        mixes.load(path)
    with pytest.raises(ConformanceError, match="not valid TOML"):
        deviations.load(path)
    with pytest.raises(ConfigError, match="not valid TOML"):
        faults.read(path)
    with pytest.raises(PolicyError, match="not valid TOML"):
        read_policy(text)
