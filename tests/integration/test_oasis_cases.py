"""The official test cases, played by our tester against our server over TLS.

Every case passes whose operations the server has and which needs nothing but a client, except those
listed here with the reason. A row whose case passes fails the test.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from kmipkit_conformance.cli import conformance
from servers import RunningServer

from kmipkit.model.envelope import SPOKEN
from kmipkit.spec.versions import Version

_LATER = "names operations that come later: Certify, Poll, Cancel, Validate, Notify, Put and others"
_VALIDATION = "wants a validation of the server's cryptography, which nobody has made"
_PROFILES = "wants profiles, which the server claims when it has all operations of one"
_X509 = (
    "wants Key Format Type Raw for a certificate; by default it is X.509 (KMIP 2.1 §4.26, Table 81)"
)
_GROUPS = "wants a default object group"

EXCEPTIONS = {
    "1.0": {"SUITEB_128-M-1-10": _LATER},
    "1.1": {
        "SUITEB_128-M-1-11": _LATER,
        "SKFF-O-6-11": _GROUPS,
        "TC-142-11": "wraps the Key Material alone and says so nowhere; the default is TTLV Encoding",
        "TC-153-11": _GROUPS,
    },
    "1.2": {
        "SUITEB_128-M-1-12": _LATER,
        "TC-121-12": _LATER,
        "TC-142-12": "wraps the Key Material alone and says so nowhere; the default is TTLV Encoding",
        "TC-153-12": _GROUPS,
    },
    "1.3": {
        "SUITEB_128-M-1-13": _LATER,
        "TC-OFFSET-2-13": "prints the whole list newest first and its pages oldest first",
        "TC-OTP-SETUP-2-13": "gives a Name that the case before it has given (KMIP 1.3 §3.2)",
        "TC-Q-PROF-2-13": _PROFILES,
        "TC-Q-S2C-PROF-2-13": _LATER,
        "TC-Q-VAL-1-13": _VALIDATION,
    },
    "1.4": {
        "SUITEB_128-M-1-14": _LATER,
        "TC-CERTATTR-1-14": _X509,
        "TC-PKCS12-1-14": "wants a key in PKCS #12",
        "TC-Q-PROF-2-14": _PROFILES,
        "TC-Q-S2C-PROF-2-14": _LATER,
        "TC-Q-VAL-1-14": _VALIDATION,
        "TC-WRAP-3-14": "does not say by which key the key that it wants unwrapped is wrapped",
    },
    "2.0": {
        "TC-CERTATTR-1-20": _X509,
        "TC-IMPEXP-4-20": "wants a second Digest, of another format; one is enough (KMIP 2.0 §4.21)",
        "TC-PKCS12-1-20": "wants a key in PKCS #12",
    },
    "2.1": {"QS-M-1-21": _LATER},
}
PASSED = {"1.0": 32, "1.1": 32, "1.2": 49, "1.3": 47, "1.4": 69, "2.0": 27, "2.1": 53}


@pytest.mark.parametrize("version", SPOKEN, ids=str)
def test_official_cases_pass(
    own_server: RunningServer, shared: Path, tmp_path: Path, version: Version
) -> None:
    server = own_server.start()
    files = server.credentials()
    report = tmp_path / "report.json"
    arguments = ["run", "--target", f"127.0.0.1:{server.port}", "--report", f"json:{report}"]
    for name, path in files.items():
        arguments += [f"--{name}", str(path)]
    arguments += ["--kmip", str(version), "--cases", str(shared / "oasis")]
    CliRunner().invoke(conformance, arguments, catch_exceptions=False)
    verdicts = json.loads(report.read_text())
    failed = {case["case"] for case in verdicts["cases"] if case["outcome"] == "failed"}
    assert failed == set(EXCEPTIONS[str(version)])
    outcomes = Counter(case["outcome"] for case in verdicts["cases"])
    assert outcomes["passed"] == PASSED[str(version)]
