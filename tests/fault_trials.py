"""Trials of faults with real clients: a program with the client does the same steps with each server.

The steps are: ask what the server can do, store a key, get the first key, get the second one. Most
faults are in the response about the first key, so that the last step shows whether the client recovers.
"""

import json
import re
import select
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from documents import PROJECT
from kmipkit_client import symmetric_key
from kmipkit_server.test_mode.faults.fault import Fault
from kmipkit_server.test_mode.faults.kinds import CONNECTION, KINDS, Place

from kmipkit.spec.enums import Operation, State
from kmipkit.testing import KeyServer, Seed, key_server

PAGE = "docs/faults.md"

FIRST, SECOND = b"first key 012345", b"second key 01234"
STEPS = ("query", "store", "get", "get")
READS = (Operation.GET, Operation.DECRYPT)
"""With what the clients get the keys, or show that they use the right ones."""
GRACE = 0.2
"""Seconds after which a client that waits for ever gets to know that the server has gone."""
PATIENCE = 60.0
"""Seconds after which a client that does not wait for ever must have returned."""

WORKS, REFUSES, BREAKS, WAITS = "works", "refuses", "breaks", "waits"
ACCEPTS, WRONG, CRASHES, UNTOUCHED = "accepts", "wrong", "crashes", "-"

HARMLESS = frozenset(
    {"slow-handshake", "delay", "twice", "split", "half-close", "drop", "query", "query-order"}
    | {"versions", "unsupported-version", "server-correlation", "object-type"}
)
"""Faults in spite of which a client can do all steps without believing what is false."""

PREPARED: Mapping[str, tuple[str, dict[str, Any]]] = {"reason": ("failure", {})}
"""Faults that need another one before they show."""

Trial = tuple[str, Mapping[str, Any]]
"""A fault and its parameters; or ``personality`` with its name."""


class Program:
    """A program that does the steps for each line that it gets. It starts again after a crash."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _start(self) -> "subprocess.Popen[str]":
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        return subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, stderr=nowhere, text=True, bufsize=1
        )

    def begin(self, kms: KeyServer) -> None:
        """Let it do the steps with this server."""
        own = kms.settings
        job = [own.host, own.port, own.ca, own.cert, own.key]
        for name, material in (("first", FIRST), ("second", SECOND)):
            job += [kms.ids[name], material.hex()]
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, job)) + "\n")

    def has_ended(self, seconds: float) -> bool:
        """Whether the results are there, after some time at most."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def results(self) -> list[str]:
        """The results of the steps; none if the client has ended the program."""
        assert self.has_ended(PATIENCE), "the client does not return"
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            self._process = self._start()
        return line.split("\t") if line else []


# --- trials --------------------------------------------------------------------------------------


@contextmanager
def server(personality: str | None = None) -> Iterator[KeyServer]:
    """A server with two keys, which ends at once."""
    seeds = [
        Seed(name, symmetric_key(material), state=State.ACTIVE)
        for name, material in (("first", FIRST), ("second", SECOND))
    ]
    settings = {"listen": {"drain_seconds": 0.0}}
    with key_server(seeds, settings=settings, personality=personality) as kms:
        yield kms


def try_fault(program: Program, trial: Trial, *, waits: bool) -> tuple[str, list[str]]:
    """What the client does with a fault, and the results of its steps.

    ``waits`` says that it is expected to wait for ever: only then does the server go away meanwhile, so
    that no slow machine makes a client one that waits.
    """
    name, parameters = trial
    with server() as kms:
        for other, options in filter(None, [PREPARED.get(name)]):
            kms.faults.add(other, operations=READS, calls=[1], **options)
        fault = kms.faults.add(name, **_applied_to(name), **parameters)
        program.begin(kms)
        if name in ("slow-handshake", "delay"):
            while not (fault.applied or program.has_ended(0.01)):
                pass
            kms.clock.advance(seconds=parameters["seconds"] + 1)
        has_waited = waits and not _ends_by_itself(program, fault)
        if has_waited:
            kms.stop()
        results = program.results()
    return (WAITS if has_waited else verdict(fault, results)), results


def _applied_to(name: str) -> dict[str, Any]:
    """To what a fault applies: the response about the first key, unless it is about something else."""
    kind = KINDS[name]
    if kind.place in CONNECTION | {Place.REQUEST} or kind.only is not None:
        return {}
    if name in ("unsupported-operation", "server-correlation"):
        return {}
    if name == "missing-attribute":
        return {"operations": (Operation.REGISTER, Operation.CREATE)}
    return {"operations": READS, "calls": (1,)}


def _ends_by_itself(program: Program, fault: Fault) -> bool:
    while not (fault.applied or program.has_ended(0.01)):
        pass
    return program.has_ended(GRACE)


def verdict(fault: Fault, results: Sequence[str]) -> str:
    """What the client did, from the results of its steps."""
    if not results:
        return CRASHES
    if not fault.applied:
        return UNTOUCHED
    failed = _failed(results)
    if _is_wrong(results):
        return WRONG
    if not any(failed):
        return WORKS if fault.name in HARMLESS else ACCEPTS
    return BREAKS if fault.calls and failed[-1] else REFUSES


def try_personality(program: Program, name: str) -> tuple[str, list[str]]:
    """Which steps a client can do with another server, and their results."""
    with server(name) as kms:
        program.begin(kms)
        results = program.results()
    if not results or _is_wrong(results):
        return (WRONG if results else CRASHES), results
    missing = dict.fromkeys(
        step for step, has_failed in zip(STEPS, _failed(results), strict=True) if has_failed
    )
    return f"no {', '.join(missing)}" if missing else WORKS, results


def _failed(results: Sequence[str]) -> list[bool]:
    return [each.startswith("error") for each in results]


def _is_wrong(results: Sequence[str]) -> bool:
    """Whether a step has returned another key than the right one."""
    return any(
        got.strip() != right.hex() and not got.startswith("error")
        for got, right in zip(results[2:], (FIRST, SECOND), strict=True)
    )


# --- the table of the page -----------------------------------------------------------------------


def documented() -> tuple[list[str], list[tuple[Trial, list[str]]]]:
    """The clients of the table, and its rows: a trial, and what each client does."""
    text = (PROJECT / PAGE).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith(("| fault |", "| `"))]
    heads, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return heads[1:], [(_trial(row[0]), row[1:]) for row in rows]


def _trial(cell: str) -> Trial:
    """The fault of a cell such as ```length`, `add = 8```."""
    name, *options = re.findall(r"`([^`]+)`", cell)
    return name, tomllib.loads("\n".join(options))


def cell(trial: Trial) -> str:
    """The cell of a trial."""
    name, options = trial
    return ", ".join([f"`{name}`", *(f"`{key} = {json.dumps(options[key])}`" for key in options)])
