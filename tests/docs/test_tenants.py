"""The page about tenants: its commands, played as it has them, and its table of what is shared."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from documents import PROJECT, blocks
from kmipkit_client import calls, crypto_calls
from kmipkit_server.engine.state import ServerState
from servers import RunningServer
from tenancy import ADMINISTRATOR, laboratory_of, member

from kmipkit.model.payloads.certify import CertifyRequest, ReProvisionRequest
from kmipkit.model.payloads.limits import Constraints, SetConstraintsRequest
from kmipkit.spec.enums import CryptographicAlgorithm, Operation, RecommendedCurve
from kmipkit.spec.masks import CryptographicUsageMask as Mask

PAGE = "docs/tenants.md"

_VARYING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "IDENTIFIER"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3})?"), "TIME"),
    (re.compile(r"\b\d+ B\b"), "SIZE"),
    (re.compile(r" {2,}"), "  "),
)


def comparable(text: str) -> list[str]:
    """Lines without what differs from one run to the next."""
    text = text.strip()
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.splitlines()]


class Terminal:
    """A shell in the directory of the page, for an administrator of the server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "KMIPKIT_CA": "pki/ca.crt",
            "KMIPKIT_CERT": "pki/root.crt",
            "KMIPKIT_KEY": "pki/root.key",
            "PYTHON": sys.executable,
        }

    def run(self, command: str) -> str:
        """What a command prints."""
        text = re.sub(r"^kmipkit\b", '"$PYTHON" -m kmipkit', command)
        text = text.replace("127.0.0.1:5696", self.environment.get("KMIPKIT_SERVER", ""))
        done = subprocess.run(
            ["sh", "-c", text],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout


def commands(block: str) -> Iterator[tuple[str, str]]:
    """The commands of a block, each with what it prints."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    first, *rest = blocks(PAGE, "console")
    [settings] = blocks(PAGE, "toml")
    terminal = Terminal(tmp_path)
    for command, _ in commands(first):
        terminal.run(command)
    (tmp_path / "kms.toml").write_text(settings)
    server = RunningServer(tmp_path / "kms", ("--config", str(tmp_path / "kms.toml")))
    server.start()
    try:
        terminal.environment["KMIPKIT_SERVER"] = f"127.0.0.1:{server.port}"
        for block in rest:
            for command, output in commands(block):
                assert shlex.split(command)[0] == "kmipkit"
                assert comparable(terminal.run(command)) == comparable(output), command
    finally:
        server.end()


# --- the table of what is shared -----------------------------------------------------------------------


def rows() -> str:
    """The first column of the table."""
    text = (PROJECT / PAGE).read_text(encoding="utf-8")
    [table] = re.findall(r"^\| what \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    return "\n".join(row.split("|")[1] for row in table.strip().splitlines()[2:])


def test_the_table_has_everything_that_the_server_keeps_in_memory() -> None:
    """What is new there needs a decision."""
    named = set(re.findall(r"`([^`]+)`", rows()))
    assert {field.name for field in fields(ServerState)} <= named


@pytest.fixture
def stored(tmp_path: Path) -> set[str]:
    """The names of the settings of a store in which everything has happened."""
    with closing(laboratory_of(tmp_path / "data", "acme")) as laboratory:

        def ask(operation: Operation, payload: Any, account: str = "db01") -> Any:
            return laboratory.ask(calls.raw(operation, payload), identity=member("acme", account))

        pair = crypto_calls.create_key_pair(
            CryptographicAlgorithm.ECDSA, None, RecommendedCurve.P_256, (Mask.SIGN, Mask.VERIFY),
            (None, None), None,
        )  # fmt: skip
        _, public = laboratory.ask(pair, identity=member("acme"))
        ask(Operation.CERTIFY, CertifyRequest(unique_identifier=public))
        ask(Operation.RE_PROVISION, ReProvisionRequest())
        rules = SetConstraintsRequest(constraints=Constraints(constraints=()))
        ask(Operation.SET_CONSTRAINTS, rules, ADMINISTRATOR)
    with closing(sqlite3.connect(tmp_path / "data" / "db")) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM settings")}


def test_the_table_has_every_setting_of_the_store(stored: set[str]) -> None:
    named = re.findall(r"`([^`]+)`", rows())
    assert len(stored) >= 6
    for setting in stored:
        plain = setting.removeprefix("tenant:acme:")
        known = [name for name in named if plain.startswith(name.rstrip("…").rstrip())]
        assert known, setting
        is_own = setting != plain
        assert is_own == (plain in OF_A_TENANT), setting


OF_A_TENANT = {
    "constraints and defaults", "certificate authority", "client certificate authority",
}  # fmt: skip
"""Settings of which each tenant has one."""
