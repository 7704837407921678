"""Known deviations of a target: cases that are expected to fail.

A TOML file with a table ``[deviations]``: the name of a case, and why it fails there.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from kmipkit.reports import Outcome
from kmipkit.toml_text import parse as parse_toml
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.player import Verdict


def load(path: Path) -> Mapping[str, str]:
    """The reasons, by the name of the case. ConformanceError if the file does not have this form."""
    try:
        document = parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConformanceError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConformanceError(f"{path}: not valid TOML: {error}") from None
    rows = document.get("deviations")
    is_table = isinstance(rows, dict) and all(isinstance(reason, str) for reason in rows.values())
    if not is_table or set(document) != {"deviations"}:
        raise ConformanceError(f'{path}: expected one table [deviations] with rows CASE = "reason"')
    return rows  # type: ignore[return-value]  # a table, see above


def apply(verdict: Verdict, deviations: Mapping[str, str]) -> Verdict:
    """The verdict, as known deviation if the case failed and is listed."""
    reason = deviations.get(verdict.case.name)
    if reason is None or verdict.outcome is not Outcome.FAILED:
        return verdict
    return replace(verdict, outcome=Outcome.KNOWN, reasons=(reason, *verdict.reasons))


def obsolete(verdicts: Iterable[Verdict], deviations: Mapping[str, str]) -> list[str]:
    """The listed cases that passed in all versions and folders in which they were played: the list
    would excuse them if they failed again."""
    passed: dict[str, bool] = {}
    for verdict in verdicts:
        name = verdict.case.name
        if name in deviations and verdict.outcome is not Outcome.SKIPPED:
            passed[name] = passed.get(name, True) and verdict.outcome is Outcome.PASSED
    return [name for name, has_passed in passed.items() if has_passed]
