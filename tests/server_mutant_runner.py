"""Plays the tester's own suite against mutants of our server, each in a process of its own.

    python tests/server_mutant_runner.py [--jobs N] [--json FILE] [--rules] [WORDS ...]

plays all mutants of handlers (with --rules those of functions as well), or those whose names contain
one of the words, and prints the name of each with the case that notices it. Only the cases are played
that can notice a mutant: for a fault of a handler those that use the operation (and the field), for one
of a rule those that execute the function. The first failure ends it.
"""

import argparse
import gc
import hashlib
import json
import os
import resource
import select
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import cast

PROJECT = Path(__file__).resolve().parents[1]
# As for pytest, see pyproject.toml.
sys.path[:0] = [each for each in (str(PROJECT / "tests"), str(PROJECT)) if each not in sys.path]

from kmipkit_conformance.cases import SUITE, Case, children, load_all  # noqa: E402
from kmipkit_conformance.clock import Clock  # noqa: E402
from kmipkit_conformance.player import Player  # noqa: E402
from kmipkit_conformance.target import Target  # noqa: E402
from laboratory import Laboratory  # noqa: E402
from server_mutants import UNSEEN, Mutant, all_mutants, handler_mutants  # noqa: E402

from kmipkit.reports import Outcome  # noqa: E402
from kmipkit.spec.enums import Operation  # noqa: E402
from kmipkit.spec.tags import Tag  # noqa: E402
from kmipkit.ttlv.tree import Item  # noqa: E402

CPU_SECONDS = 120
"""What a mutant may use; one that needs more is in a loop, which a tester would notice as no answer."""
STOPPED = "no answer"


@dataclass
class InMemory:
    """A target without a network, with an account that may do everything."""

    laboratory: Laboratory

    @contextmanager
    def connect(self, suite: object = None, media: object = None) -> Iterator["InMemory"]:
        del suite, media
        yield self

    def exchange(self, request: bytes) -> bytes:
        response: bytes = self.laboratory.exchange(request, "administrator")
        return response


def player(laboratory: Laboratory) -> Player:
    """The tester, with the clock of the server."""
    return Player(
        cast("Target", InMemory(laboratory)),
        clock=Clock(
            now=lambda: float(laboratory.now.timestamp()),
            sleep=lambda seconds: laboratory.pass_time(seconds=max(1, seconds)),
        ),
        repeat_timeout=10,
    )


def load_cases() -> list[Case]:
    """All cases, mixed: neighbours are about the same, and a fault should meet many kinds soon."""
    cases = load_all((SUITE,), frozenset(), ())
    return sorted(cases, key=lambda case: hashlib.sha256(case.name.encode()).digest())


def noticing(mutant: Mutant, cases: Sequence[Case], folder: Path) -> str:
    """The name of the first case that fails; empty if none does."""
    mutant.install()
    laboratory = Laboratory(folder, rows=mutant.rows(), delay=1, strict=True)
    playing = player(laboratory)
    try:
        for case in cases:
            if _fails(playing, case):
                return case.name
    finally:
        laboratory.close()
    return ""


def _fails(playing: Player, case: Case) -> bool:
    try:
        return playing.play(case).outcome is Outcome.FAILED
    except Exception:
        return True  # the server cannot go on


def executed(cases: Sequence[Case], wanted: set[CodeType]) -> dict[CodeType, list[Case]]:
    """The cases that execute each of some functions, found by playing all of them once."""
    found: dict[CodeType, list[Case]] = {code: [] for code in wanted}
    seen: set[CodeType] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in wanted:
            seen.add(frame.f_code)

    with tempfile.TemporaryDirectory() as folder:
        laboratory = Laboratory(Path(folder) / "server", delay=1, strict=True)
        playing = player(laboratory)
        threading.setprofile(profile)
        sys.setprofile(profile)
        try:
            for case in cases:
                seen.clear()
                playing.play(case)
                for code in seen:
                    found[code].append(case)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        laboratory.close()
    return found


Use = tuple[Operation, str, int]
"""An operation, a side of its payload, and the tag of an item in it."""


def uses(case: Case) -> frozenset[Use]:
    """What a case sends and expects in which operation."""
    return frozenset(
        (Operation(operation.value), side, tag)  # type: ignore[arg-type]  # an enumeration's value
        for step in case.steps
        for number, item in enumerate(children(step.request, Tag.BATCH_ITEM))
        for operation in children(item, Tag.OPERATION)
        for side, payload in SIDES.items()
        for other in children(getattr(step, side), Tag.BATCH_ITEM)[number : number + 1]
        for inside in children(other, payload)
        for tag in _tags(inside)
    )


SIDES = {"request": Tag.REQUEST_PAYLOAD, "response": Tag.RESPONSE_PAYLOAD}


def _tags(item: Item) -> Iterator[int]:
    for child in item.value if isinstance(item.value, tuple) else ():
        yield child.tag
        yield from _tags(child)


Indexed = Sequence[tuple[Case, frozenset[Operation], frozenset[Use]]]
"""Cases with their operations and what they use in them."""


def indexed(cases: Sequence[Case]) -> Indexed:
    """Cases, so that :func:`concerning` finds them quickly."""
    return [(case, frozenset(case.operations()), uses(case)) for case in cases]


def concerning(mutant: Mutant, cases: Indexed) -> list[Case]:
    """The cases that may notice a fault of a handler.

    An optional field concerns only those that send it, or expect it.
    """
    using = [(case, used) for case, operations, used in cases if mutant.operation in operations]
    if mutant.tag is None:
        return [case for case, _ in using]
    use = (mutant.operation, "request" if mutant.of_request else "response", mutant.tag)
    naming = [case for case, used in using if use in used]
    others = [case for case, used in using if use not in used]
    return naming if mutant.is_optional else naming + others


def _child(mutant: Mutant, cases: Sequence[Case], output: int) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        with tempfile.TemporaryDirectory() as folder:
            name = noticing(mutant, cases, Path(folder) / "server")
        os.write(output, name.encode() or b"\0")
    finally:
        os._exit(0)


def play(
    mutants: Sequence[Mutant],
    cases: Callable[[Mutant], Sequence[Case]],
    jobs: int,
    report: Callable[[str, str], object],
) -> dict[str, str]:
    """From the name of each mutant to the case that notices it; empty if none does."""
    results: dict[str, str] = {}
    waiting, running = list(reversed(mutants)), dict[int, tuple[Mutant, int]]()
    gc.collect()
    gc.freeze()  # the children share these pages
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            concerned = cases(mutant)
            reading, writing = os.pipe()
            if (child := os.fork()) == 0:
                _child(mutant, concerned, writing)
            os.close(writing)
            running[reading] = (mutant, child)
        for reading in select.select(list(running), (), ())[0]:
            mutant, child = running.pop(reading)
            answer = os.read(reading, 1000).decode()
            os.close(reading)
            os.waitpid(child, 0)
            results[mutant.name] = answer.strip("\0") if answer else STOPPED
            report(mutant.name, results[mutant.name])
    return results


def run(
    mutants: Sequence[Mutant], jobs: int, report: Callable[[str, str], object]
) -> dict[str, str]:
    """Play mutants with all cases that concern them; those that concern none are left out."""
    cases = load_cases()
    wanted = {mutant.function.__code__ for mutant in mutants if mutant.function is not None}
    by_code: dict[CodeType, list[Case]] = executed(cases, wanted) if wanted else {}
    index = indexed(cases)
    concerned = {
        mutant.name: concerning(mutant, index)
        if mutant.function is None
        else by_code[mutant.function.__code__]
        for mutant in mutants
    }
    covered = [mutant for mutant in mutants if concerned[mutant.name]]
    return play(covered, lambda mutant: concerned[mutant.name], jobs, report)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="writes the results to a file")
    parser.add_argument("--rules", action="store_true", help="also faults of the rules")
    parser.add_argument("words", nargs="*")
    chosen = parser.parse_args(arguments)
    mutants = [
        mutant
        for mutant in (all_mutants() if chosen.rules else handler_mutants())
        if not chosen.words or any(word in mutant.name for word in chosen.words)
    ]
    results = run(
        mutants,
        chosen.jobs,
        lambda name, case: print(f"{case or 'NOT NOTICED':40} {name}", flush=True),
    )
    visible = {name: case for name, case in results.items() if name not in UNSEEN}
    noticed = sum(map(bool, visible.values()))
    print(
        f"{noticed} of {len(visible)} mutants noticed ({noticed / max(1, len(visible)):.1%});"
        f" {len(results) - len(visible)} more cannot be noticed, and {len(mutants) - len(results)}"
        " concern fields, operations or functions that no case uses"
    )
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
