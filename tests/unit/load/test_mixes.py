"""Mixes: files are read as documented, and faults are all named, with suggestions."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from kmipkit_load import mixes
from kmipkit_load.errors import MixError
from kmipkit_load.keys import KEYS
from kmipkit_load.operations import OPERATIONS

VALID = """
description = "backups"
objects = 7

[[requests]]
operation = "get"
weight = 3
key = "RSA-2048"

[[requests]]
operation = "encrypt"
data = 4096
"""


def read(text: str) -> mixes.Mix:
    return mixes.parse(tomllib.loads(text), "test", "test.toml")


def test_a_file_says_what_is_sent() -> None:
    mix = read(VALID)
    assert (mix.description, mix.objects) == ("backups", 7)
    assert [(line.label, line.weight, line.data) for line in mix.lines] == [
        ("get RSA-2048", 3, 1024),
        ("encrypt", 1.0, 4096),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('desription = "x"', "unknown key 'desription'; the keys are description, objects, requests;"
         " did you mean description?"),
        ("objects = 0", "objects must be a whole number from 1 to 100,000"),
        ("objects = 1.5", "objects must be a whole number"),
        ('[[requests]]\noperation = "gett"', "did you mean get?"),
        ("[[requests]]\nweight = 1", "[[requests]] 1: operation must be one of"),
        ('[[requests]]\noperation = "get"\nwieght = 2', "did you mean weight?"),
        ('[[requests]]\noperation = "get"\nweight = -1', "weight must be a number"),
        ('[[requests]]\noperation = "get"\nweight = true', "weight must be a number"),
        ('[[requests]]\noperation = "get"\ndata = 5', "unknown key 'data'"),
        ('[[requests]]\noperation = "hash"\nkey = "AES-128"', "unknown key 'key'"),
        ('[[requests]]\noperation = "create"\nkey = "AES-265"', "did you mean AES-256?"),
        ('[[requests]]\noperation = "sign"\nkey = "AES-256"', "key must be one of RSA-2048"),
        ('[[requests]]\noperation = "hash"\ndata = 2000000', "data must be a whole number"),
        ("requests = 3", "expected one table [[requests]] or more"),
        ("", "expected one table [[requests]] or more"),
    ],
)  # fmt: skip
def test_faults_say_what_is_wrong(text: str, fault: str) -> None:
    with pytest.raises(MixError) as error:
        read(text)
    assert any(fault in each for each in error.value.faults), error.value.faults
    assert all(each.startswith("test.toml: ") for each in error.value.faults)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(MixError) as error:
        read('objects = 0\nx = 1\n[[requests]]\noperation = "get"\nweight = 0\nkey = "x"')
    assert len(error.value.faults) == 4


@pytest.mark.parametrize("name", mixes.built_in())
def test_the_mixes_that_come_with_kmipkit_are_valid(name: str) -> None:
    mix = mixes.find(name)
    assert mix.name == name
    assert mix.description


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_a_mix_by_itself(name: str) -> None:
    [line] = mixes.find(name).lines
    assert line.label == name


def test_other_keys_replace_those_of_their_kind() -> None:
    mix = read(VALID).with_keys(["AES-128", "AES-192"])
    assert [(line.label, line.weight) for line in mix.lines] == [
        ("get AES-128", 1.5),
        ("get AES-192", 1.5),
        ("encrypt AES-128", 0.5),
        ("encrypt AES-192", 0.5),
    ]
    with pytest.raises(MixError, match="no request of the mix hash uses a key AES-128"):
        mixes.find("hash").with_keys(["AES-128"])


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "No such file"), (b"objects =", "not valid TOML"), (b"\xff", "not valid TOML")],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: Any, fault: str) -> None:
    path = tmp_path / "mix.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MixError, match=fault):
        mixes.find(str(path))


def test_a_name_that_nothing_has_gets_a_suggestion() -> None:
    with pytest.raises(MixError, match="did you mean start"):
        mixes.find("strat")


def test_every_operation_has_a_key_that_suits_it() -> None:
    for operation in OPERATIONS.values():
        if operation.kinds:
            assert KEYS[operation.default].kind in operation.kinds
