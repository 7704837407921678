"""The page about tests: its examples run, in all languages, and its tables are complete."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

import pytest
from documents import PROJECT, blocks
from kmipkit_server.test_mode.faults.fault import FILTERS
from kmipkit_server.test_mode.faults.file import read
from kmipkit_server.test_mode.faults.kinds import KINDS, Parameter
from programs import GO, NODE, PROGRAMS, build, fetch, locked, require

from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title

PAGE = "docs/testing.md"
RUN_TIMEOUT = 600.0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which the command ``kmipkit`` is this one."""
    command = tmp_path / "bin" / "kmipkit"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kmipkit "$@"\n')
    command.chmod(0o700)
    return os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}"}


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=RUN_TIMEOUT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_in_python(tmp_path: Path, environment: dict[str, str]) -> None:
    texts = blocks(PAGE, "python")
    for number, text in enumerate(texts):
        assert "def test_" in text
        (tmp_path / f"test_{number}.py").write_text(text)
    # In a checkout that was not installed since, pytest does not find the plug-in by itself.
    is_installed = entry_points(group="pytest11", name="kmipkit")
    plugin = [] if is_installed else ["-p", "kmipkit_testing.plugin"]
    run([sys.executable, "-m", "pytest", "-q", *plugin, "."], tmp_path, environment)


def test_the_example_in_the_shell(tmp_path: Path, environment: dict[str, str]) -> None:
    [text] = blocks(PAGE, "sh")
    run(["sh", "-e", "-c", text], tmp_path, environment)
    assert not (tmp_path / "kms.json").exists()


@pytest.mark.standard
def test_the_example_in_go(
    tmp_path: Path, environment: dict[str, str], request: pytest.FixtureRequest
) -> None:
    require(GO)
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir("testing-go") if cache is not None else tmp_path
    [text] = blocks(PAGE, "go")
    with locked(folder):
        for name in ("go.mod", "go.sum"):
            shutil.copy(PROGRAMS / "go" / name, folder / name)
        (folder / "store_test.go").write_text(text)
        fetch(["go", "mod", "download", "github.com/ovh/kmip-go"], folder)
        build(["go", "test", "-c", "-buildvcs=false", "-o", "store.test", "."], folder)
        run([str(folder / "store.test")], folder, environment)


@pytest.mark.standard
def test_the_example_in_javascript(tmp_path: Path, environment: dict[str, str]) -> None:
    require(NODE)
    [text] = blocks(PAGE, "javascript")
    (tmp_path / "store.test.mjs").write_text(text)
    run(["node", "--test", "store.test.mjs"], tmp_path, environment)


def test_the_file_of_faults_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text("".join(blocks(PAGE, "toml")))
    faults = read(path)
    assert [each.name for each in faults] == ["failure", "delay"]
    assert set(faults.settings) == {"versions", "only_operations"}


# --- tables --------------------------------------------------------------------------------------


def shown(parameter: Parameter) -> str:
    """The default of a parameter as a file has it."""
    value = parameter.default
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return f'"{value.hex()}"'
    if isinstance(value, int) and not isinstance(value, Tag | ItemType | OpenEnum):
        return f"{value:#x}" if value > 0xFFFF else str(value)
    if isinstance(value, float):
        return str(value)
    if Ellipsis in get_args(parameter.type):
        return "[" + ", ".join(f'"{each}"' for each in value) + "]"
    if isinstance(value, Tag | ItemType):
        return f'"{value.name.replace("_", " ").title()}"'
    text = title(value) if isinstance(value, OpenEnum) else getattr(value, "value", value)
    return f'"{text}"'.replace("\r\n", "\\r\\n")


def row(name: str) -> str:
    """The row of a fault in the table of the page."""
    kind = KINDS[name]
    parameters = ", ".join(
        f"`{each} = {shown(parameter)}`" if shown(parameter) else f"`{each}`"
        for each, parameter in kind.parameters.items()
    )
    return f"| `{name}` | {parameters} | {kind.meaning.replace('``', '`')} |"


def test_the_table_of_faults_is_complete() -> None:
    text = (PROJECT / PAGE).read_text(encoding="utf-8")
    rows = re.search(r"^\| fault \|.*\n\| --- .*\n((?:\|.*\n)*)", text, re.MULTILINE)
    assert rows is not None
    assert rows[1].splitlines() == [row(name) for name in KINDS]
    for name in FILTERS:
        assert f"| `{name}` |" in text
