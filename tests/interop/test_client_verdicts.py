"""The tester judges real clients of others; each rule that they break was checked by hand.

``client-verdicts.json`` has for each client the rules that it keeps, and those that it breaks: how, and
why the clause says so, in words that a person wrote after reading both. A tester that is wrong is
worthless: a new verdict is not copied into the file before it was checked as well.
"""

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from case_texts import write_case
from kmipkit_conformance.cases import load
from kmipkit_conformance.clients.plan import Plan
from kmipkit_conformance.clients.rule import Standing
from kmipkit_conformance.clients.table import PROVOCATION_KEYS
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.scripted import ScriptedServer
from kmipkit_conformance.streams import server_context
from watched_clients import CLOSING, Watching, verdicts, watching

from kmipkit.reports import Outcome
from kmipkit.testing import shared_pki

pytestmark = [
    pytest.mark.standard,
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated"),
    # PyKMIP does not close the socket of a handshake that has failed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

GOLDEN = json.loads(Path(__file__).with_name("client-verdicts.json").read_text(encoding="utf-8"))
RUN_TIMEOUT = 120.0


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    with watching(tmp_path_factory.mktemp("impostor")) as found:
        yield found


def judged(
    tester: Watching, calm: Callable[[int], None], provoked: Callable[[int], None]
) -> dict[str, Any]:
    """The verdict on a client that plays undisturbed first, and then once for each provocation."""
    with tester.play() as play:
        port = play.listener.getsockname()[1]
        calm(port)
        play.end_connections(CLOSING)
        for key in PROVOCATION_KEYS:
            play.plan = Plan([key], gap=0, label=key)
            provoked(port)
            play.end_connections(CLOSING)
    found = verdicts(play.session).values()
    return {
        "broken": {
            verdict.rule.key: sorted({seen.problem for seen in verdict.broken})
            for verdict in found
            if verdict.broken
        },
        "kept": [v.rule.key for v in found if v.standing is Standing.KEPT],
    }


def expected(client: str) -> dict[str, Any]:
    row = GOLDEN[client]
    broken = {rule: found["problems"] for rule, found in row["broken"].items()}
    return {"broken": broken, "kept": row["kept"]}


def test_each_broken_rule_was_checked_by_a_person() -> None:
    for row in GOLDEN.values():
        for found in row["broken"].values():
            assert "§" in found["checked"]
            assert found["problems"]


def test_pykmip(tester: Watching) -> None:
    pytest.importorskip("kmip")
    from kmip.core.enums import CryptographicAlgorithm, KMIPVersion
    from kmip.pie.client import ProxyKmipClient

    files = shared_pki().client("pykmip")
    paths = {"cert": str(files.cert), "key": str(files.key), "ca": str(shared_pki().ca)}

    def connect(port: int, version: Any) -> Any:
        return ProxyKmipClient(hostname="127.0.0.1", port=port, kmip_version=version, **paths)

    def calm(port: int) -> None:
        for version in KMIPVersion:
            with connect(port, version) as client:
                pykmip_life(client, version.name)

    def provoked(port: int) -> None:
        with suppress(Exception), connect(port, KMIPVersion.KMIP_1_2) as client:
            client.activate(client.create(CryptographicAlgorithm.AES, 256))

    assert judged(tester, calm, provoked) == expected("PyKMIP 0.11, ProxyKmipClient")


def pykmip_life(client: Any, name: str) -> None:
    """What programs with PyKMIP do."""
    from kmip.core import enums
    from kmip.pie import objects

    usage = enums.CryptographicUsageMask
    mask = [usage.ENCRYPT, usage.DECRYPT]
    aes = enums.CryptographicAlgorithm.AES
    key = client.create(aes, 256, name=f"key {name}", cryptographic_usage_mask=mask)
    client.get(key)
    client.get_attributes(key, ["State"])
    client.get_attribute_list(key)
    client.locate()
    client.register(objects.SymmetricKey(aes, 128, bytes(16), mask, f"registered {name}"))
    secret = objects.SecretData(b"secret", enums.SecretDataType.PASSWORD, mask, f"secret {name}")
    client.register(secret)
    client.register(objects.OpaqueObject(b"data", enums.OpaqueDataType.NONE, f"opaque {name}"))
    client.create_key_pair(
        enums.CryptographicAlgorithm.RSA,
        2048,
        public_name=f"public {name}",
        private_name=f"private {name}",
        public_usage_mask=[usage.VERIFY],
        private_usage_mask=[usage.SIGN],
    )
    client.activate(key)
    client.check(key, cryptographic_usage_mask=mask)
    with suppress(Exception):  # in 2.0, PyKMIP sends what the server refuses
        client.rekey(key)
    client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, key, "done")
    client.destroy(key)


def test_kmip_go(tester: Watching, go_client: list[str]) -> None:
    files = shared_pki().client("kmip-go")
    paths = [str(path) for path in (shared_pki().ca, files.cert, files.key)]

    def run(port: int, what: str) -> int:
        command = [*go_client, what, f"127.0.0.1:{port}", *paths]
        return subprocess.run(command, capture_output=True, timeout=RUN_TIMEOUT).returncode

    def calm(port: int) -> None:
        assert [run(port, what) for what in ("keys", "wrap", "tasks", "life")] == [0] * 4

    def provoked(port: int) -> None:
        run(port, "life")

    assert judged(tester, calm, provoked) == expected("ovh/kmip-go 0.5.0")


# A real client plays a case.

CASE = "PLAYED-M-1-14"


def played(folder: Path, run: Callable[[int], object]) -> Verdict:
    """The verdict on a client that creates a key of AES-128, after whatever it asks before."""
    files = shared_pki().server()
    context = server_context(shared_pki().ca, files.cert, files.key)
    case = load(write_case(folder, CASE))
    verdicts_on: list[Verdict] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ScriptedServer(listener, context, timeout=RUN_TIMEOUT)
        thread = threading.Thread(target=lambda: verdicts_on.append(server.play(case)))
        thread.start()
        run(listener.getsockname()[1])
        thread.join()
    return verdicts_on[0]


def test_pykmip_plays_a_case(tmp_path: Path) -> None:
    pytest.importorskip("kmip")
    from kmip.core import enums
    from kmip.pie.client import ProxyKmipClient

    files = shared_pki().client("pykmip")
    paths = {"cert": str(files.cert), "key": str(files.key), "ca": str(shared_pki().ca)}
    mask = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]

    def run(port: int) -> None:
        with ProxyKmipClient(
            hostname="127.0.0.1", port=port, kmip_version=enums.KMIPVersion.KMIP_1_4, **paths
        ) as client:
            client.proxy.discover_versions()
            aes = enums.CryptographicAlgorithm.AES
            client.create(aes, 128, cryptographic_usage_mask=mask)

    verdict = played(tmp_path, run)
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())


def test_kmip_go_plays_a_case(tmp_path: Path, go_client: list[str]) -> None:
    """It negotiates with Discover Versions in KMIP 1.1, as our own client does."""
    files = shared_pki().client("kmip-go")
    paths = [str(path) for path in (shared_pki().ca, files.cert, files.key)]

    def run(port: int) -> None:
        command = [*go_client, "create", f"127.0.0.1:{port}", *paths]
        subprocess.run(command, capture_output=True, timeout=RUN_TIMEOUT, check=True)

    verdict = played(tmp_path, run)
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())
