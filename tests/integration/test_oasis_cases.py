"""All official test cases, played by our tester against our server over TLS, which is strict.

Every case passes except those listed here: errata without a correction, and answers that the standard
leaves to the server, of which another case has the one of our server. A row whose case passes fails the
test.
"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from kmipkit_conformance.cases import load
from kmipkit_conformance.chains import Library
from kmipkit_conformance.cli import conformance
from kmipkit_conformance.errata import ALTERNATIVES, CORRECTIONS, ERRATA
from servers import RunningServer

from kmipkit.spec.versions import VERSIONS, Version

_SEED = "the server behaves as in CS-RNG-O-1"
_PAD = "the server behaves as in TC-OTP-4"
_ORDER = "the published case contradicts itself: the whole list has the newest object first"

SKIPPED = {
    "1.0": {},
    "1.1": {},
    "1.2": {"CS-RNG-O-4-12": _SEED},
    "1.3": {
        "CS-RNG-O-4-13": _SEED,
        "TC-OFFSET-1-13": _ORDER,
        "TC-OFFSET-2-13": _ORDER,
        "TC-OTP-3-13": _PAD,
    },
    "1.4": {"CS-RNG-O-4-14": _SEED, "TC-OTP-3-14": _PAD},
    "2.0": {"CS-RNG-O-4-20": _SEED},
    "2.1": {"CS-RNG-O-4-21": _SEED},
    "3.0": {"CS-RNG-O-4-30": _SEED},
}


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_official_cases_pass(
    own_server: RunningServer, shared: Path, tmp_path: Path, version: Version
) -> None:
    own_server.arguments = ["--strict"]
    server = own_server.start()
    report = tmp_path / "report.json"
    arguments = ["run", "--target", f"127.0.0.1:{server.port}", "--report", f"json:{report}"]
    for name, path in server.credentials().items():
        arguments += [f"--{name}", str(path)]
    folder = shared / "oasis-all"
    arguments += ["--kmip", str(version), "--cases", str(folder)]
    result = CliRunner().invoke(conformance, arguments, catch_exceptions=False)
    cases = json.loads(report.read_text())["cases"]
    failed = {case["case"]: case["reasons"] for case in cases if case["outcome"] == "failed"}
    assert failed == {}
    assert result.exit_code == 0
    skipped = {case["case"]: case["reasons"] for case in cases if case["outcome"] == "skipped"}
    expected = SKIPPED[str(version)]
    assert set(skipped) == set(expected)
    assert all(reasons[0].startswith(expected[name]) for name, reasons in skipped.items())
    assert len(cases) == len(list((folder / str(version)).rglob("*.xml")))


def test_each_correction_is_still_needed(shared: Path) -> None:
    paths = {path.stem: path for path in (shared / "oasis-all").rglob("*.xml")}
    for name, corrections in CORRECTIONS.items():
        text = paths[name].read_text()
        changed = text
        for correction in corrections:
            changed = correction.apply(changed)
        assert changed != text, name
    assert set(ERRATA) <= set(paths)
    bases = {name.rpartition("-")[0] for name in paths}
    assert all(group.cases <= bases for group in ALTERNATIVES)


def test_the_chains_of_the_profiles_are_found(shared: Path) -> None:
    """Without the index of the cases, which nobody else has."""
    for version in VERSIONS:
        folder = shared / "oasis-all" / str(version) / "mandatory"
        digits = str(version).replace(".", "")
        for family in ("SASED", "TL"):
            path = folder / f"{family}-M-3-{digits}.xml"
            providers, are_all = Library((path,)).providers(load(path))
            assert are_all
            assert [each.name for each in providers] == [f"{family}-M-2-{digits}"]
