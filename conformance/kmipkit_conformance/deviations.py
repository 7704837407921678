"""Known deviations of a target: cases that fail, and are reported as such.

A TOML file with a table ``[deviations]``: the name of a case, and why it fails there.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.player import Outcome, Verdict


def load(path: Path) -> Mapping[str, str]:
    """Case to reason. ConformanceError if the file is not of this form."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConformanceError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConformanceError(f"{path}: not valid TOML: {error}") from None
    rows = document.get("deviations")
    good = isinstance(rows, dict) and all(isinstance(why, str) for why in rows.values())
    if not good or set(document) != {"deviations"}:
        raise ConformanceError(f'{path}: needs one table [deviations] of CASE = "reason"')
    return rows  # type: ignore[return-value]  # a table, see above


def known(verdict: Verdict, deviations: Mapping[str, str]) -> Verdict:
    """The verdict, as known if it failed and is listed; one that passes stays passed."""
    why = deviations.get(verdict.case.name)
    if why is None or verdict.outcome is not Outcome.FAILED:
        return verdict
    return replace(verdict, outcome=Outcome.KNOWN, reasons=(why, *verdict.reasons))
