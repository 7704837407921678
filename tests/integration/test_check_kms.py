"""``kmipkit vcenter check-kms`` over sockets: key servers, trust in all forms, and no key servers."""

import itertools
import json
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from foreign_key_server import ForeignServer, StoredKey
from kmipkit_certs.authority import Purpose
from kmipkit_vsphere.check_kms.steps import OUTAGES, STEPS
from kmipkit_vsphere.cli import vcenter
from served_key_server import PKI, Serve, closing, http, kmip, listening, over_tls, ssh
from servers import RunningServer

from bench import servers as peers
from kmipkit.spec.enums import Operation

PYTHON = sys.executable


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return PKI(tmp_path_factory.mktemp("pki") / "acme")


def check(address: str, *options: str) -> Result:
    return CliRunner().invoke(vcenter, ["check-kms", address, *options])


def text(result: Result) -> str:
    """What is printed, without the line ends between words."""
    return " ".join(result.output.split())


def verdicts(result: Result) -> dict[str, str]:
    """The outcomes by step, as they are printed."""
    lines = [line.split() for line in result.output.splitlines()]
    names = {step.name for step in STEPS}
    outcomes = ("passed", "warned", "failed", "skipped")
    heads = [words[:2] for words in lines if len(words) > 1 and words[0] in outcomes]
    return {name: outcome for outcome, name in heads if name in names}


# Real key servers ------------------------------------------------------------------------------------


def test_our_own_server_passes_what_needs_an_option(server: RunningServer, tmp_path: Path) -> None:
    """The other steps are played by tests/docs/test_check_kms.py."""
    files = server.credentials("check-kms")
    certs = server.pki.files("check-kms").cert.parent
    sign = tmp_path / "sign.sh"
    sign.write_text(
        f'cat > "$1/request.csr"\n'
        f'"{PYTHON}" -m kmipkit certs sign "{certs}" "$1/request.csr" --out "$1/signed.crt" >&2\n'
        f'cat "$1/signed.crt"\nrm "$1/signed.crt"\n'
    )
    chosen = "trust-by-request,renewed-certificate,stranger,replica-vendor,replica-keys"
    address = f"127.0.0.1:{server.port}"
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    options += ["--replica", address, "--sign-command", f"sh '{sign}' '{tmp_path}'", "--json"]
    forms = ("junit", "json", "html")
    options += [part for form in forms for part in ("--report", f"{form}:{tmp_path / form}")]
    result = check(address, "--steps", chosen, *options)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document == json.loads((tmp_path / "json").read_text())
    assert {row["outcome"] for row in document["steps"]} == {"passed"}, result.output
    assert document["keyServer"]["vendor"] == "kmipkit"
    with server.client("check-kms") as client:
        assert client.locate().ids == (), "all keys are destroyed"


@pytest.mark.parametrize(
    "steps",
    [
        "tag-product,key-attributes,re-encrypt,destroyed-key",
        pytest.param("", marks=pytest.mark.long),
    ],
)
def test_pykmips_server_passes_with_warnings(steps: str, tmp_path: Path) -> None:
    """It refuses custom attributes, as the server of the recorded conversation did."""
    pytest.importorskip("kmip")
    folder = tmp_path / "pykmip"
    folder.mkdir()
    certificates = tmp_path / "pki"
    own = PKI(certificates)
    with peers.pykmip(folder, certificates) as running:
        result = check(
            f"127.0.0.1:{running.port}", *own.options(), "--steps", steps, "--hosts", "2"
        )
    assert result.exit_code == 0, result.output
    found = verdicts(result)
    warned = {name for name, outcome in found.items() if outcome == "warned"}
    assert warned == {"tag-product", "tag-owner", "key-attributes"}
    assert "failed" not in found.values()


# No key server ---------------------------------------------------------------------------------------


def test_a_port_that_nobody_listens_on(pki: PKI) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    result = check(f"127.0.0.1:{port}", *pki.options())
    assert result.exit_code == 1
    assert verdicts(result)["connect"] == "failed"
    assert "refused" in text(result)
    assert "com.vmware.vc.kms.crypto.Unreachable" in text(result)
    assert "needs connect, which failed" in text(result)


NO_KEY_SERVERS: dict[str, tuple[Serve, str, str]] = {
    "HTTP": (http, "tls", "the port speaks HTTP without TLS, not KMIP"),
    "SSH": (ssh, "tls", "the port speaks SSH without TLS, not KMIP"),
    "nothing": (closing, "tls", "the TLS handshake fails"),
    "KMIP without TLS": (kmip(ForeignServer()), "tls", "the port speaks KMIP without TLS"),
}


@pytest.mark.parametrize("name", NO_KEY_SERVERS)
def test_a_port_that_speaks_something_else(name: str, pki: PKI) -> None:
    serve, step, words = NO_KEY_SERVERS[name]
    with listening(serve) as address:
        result = check(address, *pki.options(), "--timeout", "0.5")
    assert result.exit_code == 1
    assert verdicts(result)[step] == "failed", result.output
    assert words in text(result)


def test_the_port_of_the_web_console(pki: PKI) -> None:
    with listening(over_tls(pki.context, http)) as address:
        result = check(address, *pki.options())
    assert verdicts(result)["client-trust"] == "failed"
    assert "the port speaks HTTPS, not KMIP over TLS" in text(result)


# Trust -----------------------------------------------------------------------------------------------


def test_another_authority_in_ca(pki: PKI, tmp_path: Path) -> None:
    other = PKI(tmp_path / "other")
    with listening(over_tls(pki.context, kmip(ForeignServer()))) as address:
        result = check(address, *pki.options(ca=other.directory.ca))
    assert result.exit_code == 1
    assert verdicts(result)["server-trust"] == "failed"
    assert "chain: " in text(result)
    assert "vCenter does not trust the server" in text(result)
    assert "alarms keyServerConnection and keyProviderHealth" in text(result)


@pytest.mark.parametrize("names", [("127.0.0.1",), ("kms.example.com",)])
def test_a_server_of_another_authority_is_used_with_its_uploaded_certificate(
    names: tuple[str, ...], pki: PKI, tmp_path: Path
) -> None:
    """All steps that need trust are played, with each client certificate, and on replicas, too."""
    other = PKI(tmp_path / "other")
    pki.issue(names[0], Purpose.SERVER, alternative=names)
    chosen = "tls-1.2,unknown-client,create,vsan-hosts,stranger,replica-vendor,replica-keys"
    keys: dict[str, StoredKey] = {}
    serve = kmip(ForeignServer(keys=keys))
    with (
        listening(over_tls(lambda: pki.context(names[0]), serve)) as address,
        listening(over_tls(pki.context, serve)) as replica,
    ):
        options = ["--steps", chosen, "--hosts", "2", "--replica", replica]
        result = check(address, *pki.options(ca=other.directory.ca), *options)
    found = verdicts(result)
    assert found.pop("server-trust") == "failed", result.output
    assert set(found.values()) == {"passed"}, result.output
    assert result.exit_code == 1


def test_without_trust_and_upload_the_steps_are_skipped(pki: PKI, tmp_path: Path) -> None:
    pki.issue("third", Purpose.SERVER, alternative=("127.0.0.1",))
    certificates = itertools.cycle(("server", "third"))
    other = PKI(tmp_path / "other")
    with listening(
        over_tls(lambda: pki.context(next(certificates)), kmip(ForeignServer()))
    ) as address:
        result = check(address, *pki.options(ca=other.directory.ca), "--steps", "create")
    assert verdicts(result)["client-trust"] == "skipped", result.output
    assert "needs server-trust or server-upload; server-trust failed and" in text(result)


CERTIFICATES = {
    "expired": (timedelta(days=-400), 30, ("127.0.0.1",), "server-trust", "expired"),
    "of another name": (timedelta(), 400, ("kms.example.com",), "server-trust", "127.0.0.1"),
    "soon expired": (timedelta(), 45, ("127.0.0.1",), "tls", "yellow, event"),
    "very soon expired": (timedelta(), 20, ("127.0.0.1",), "tls", "red, event"),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_that_is(name: str, pki: PKI) -> None:
    age, days, names, step, words = CERTIFICATES[name]
    pki.issue(name, Purpose.SERVER, datetime.now(UTC) + age, days=days, alternative=names)
    with listening(over_tls(lambda: pki.context(name), kmip(ForeignServer()))) as address:
        result = check(address, *pki.options(), "--steps", "server-trust")
    assert verdicts(result)[step] == ("warned" if step == "tls" else "failed"), result.output
    assert words in text(result)
    if step == "tls":
        assert "com.vmware.vc.vecs.KMSServerCertExpirationEvent, alarm certificate." in text(result)


def test_two_certificates_behind_one_address(pki: PKI) -> None:
    pki.issue("second", Purpose.SERVER, alternative=("127.0.0.1",))
    names = itertools.cycle(("server", "second"))
    with listening(over_tls(lambda: pki.context(next(names)), kmip(ForeignServer()))) as address:
        result = check(address, *pki.options(), "--steps", "server-upload")
    assert verdicts(result)["server-upload"] == "failed", result.output
    assert "not the one that was uploaded" in text(result)


def test_a_client_certificate_of_another_authority(pki: PKI, tmp_path: Path) -> None:
    other = PKI(tmp_path / "other")
    with listening(over_tls(pki.context, kmip(ForeignServer()))) as address:
        result = check(address, *other.options(ca=pki.directory.ca))
    assert result.exit_code == 1
    assert verdicts(result)["client-trust"] == "failed", result.output
    assert "the server does not trust vCenter" in text(result)


def test_a_client_certificate_that_has_expired(pki: PKI) -> None:
    pki.issue("old", Purpose.CLIENT, datetime.now(UTC) - timedelta(days=400), days=30)
    with listening(over_tls(pki.context, kmip(ForeignServer()))) as address:
        result = check(address, *pki.options("old"))
    assert verdicts(result)["client-trust"] == "failed"
    assert "; it expired on " in text(result)


def test_a_server_with_the_cipher_suite_of_the_recorded_one(pki: PKI) -> None:
    """TLS_RSA_WITH_AES_128_CBC_SHA256 in TLS 1.2."""
    pki.issue("rsa", Purpose.SERVER, alternative=("127.0.0.1",), algorithm="rsa-2048")

    def context() -> ssl.SSLContext:
        made = pki.context("rsa")
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        made.set_ciphers("AES128-SHA256")
        return made

    with listening(over_tls(context, kmip(ForeignServer()))) as address:
        result = check(
            address, *pki.options(), "--steps", "unknown-client,vsan-hosts", "--hosts", "2"
        )
    assert result.exit_code == 0, result.output
    assert "TLSv1.2, AES128-SHA256" in text(result)


def test_a_server_that_gives_keys_to_other_accounts(pki: PKI, tmp_path: Path) -> None:
    """Any certificate of the authority does."""
    sign = tmp_path / "sign.sh"
    pki_folder = pki.directory.ca.parent
    sign.write_text(
        f'cat > "{tmp_path}/r.csr"\n"{PYTHON}" -m kmipkit certs sign "{pki_folder}" "{tmp_path}/r.csr"'
        f' --out "{tmp_path}/r.crt" >&2\ncat "{tmp_path}/r.crt"\n'
    )
    options = ["--sign-command", f"sh '{sign}'", "--steps", "trust-by-request,stranger"]
    with listening(over_tls(pki.context, kmip(ForeignServer()))) as address:
        result = check(address, *pki.options(), *options)
    assert verdicts(result)["stranger"] == "failed", result.output
    assert "with the certificate of another account gets the key" in text(result)


def test_a_server_without_tls_1_2(pki: PKI) -> None:
    def context() -> ssl.SSLContext:
        made = pki.context()
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        return made

    with listening(over_tls(context, kmip(ForeignServer()))) as address:
        result = check(address, *pki.options(), "--steps", "tls-1.2")
    assert result.exit_code == 0
    assert verdicts(result)["tls-1.2"] == "warned", result.output


def test_a_server_that_serves_strangers(pki: PKI) -> None:
    def context() -> ssl.SSLContext:
        return pki.context(verifies=False)

    with listening(over_tls(context, kmip(ForeignServer()))) as address:
        result = check(address, *pki.options(), "--steps", "unknown-client,stranger")
    found = verdicts(result)
    assert (found["unknown-client"], found["stranger"]) == ("warned", "failed")
    assert "a client without a certificate gets the key of the machine" in text(result)


def test_a_server_that_bans_an_address_after_failed_handshakes(pki: PKI) -> None:
    failures = itertools.count()
    lock = threading.Lock()
    limit = 5
    failed = 0

    def serve(plain: socket.socket) -> None:
        nonlocal failed
        if failed >= limit:
            return
        try:
            over_tls(pki.context, kmip(ForeignServer()))(plain)
        except ssl.SSLError:
            with lock:
                failed = next(failures) + 1
            raise

    with listening(serve) as address:
        result = check(address, *pki.options(), "--steps", "unknown-client")
    assert verdicts(result)["unknown-client"] == "failed", result.output
    assert "no longer serves vCenter" in text(result)


def test_certificates_that_an_administrator_uploads(pki: PKI, tmp_path: Path) -> None:
    """A self-signed certificate of vCenter, and the root of its authority."""
    own = PKI(tmp_path / "own")
    script = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    command = f"'{PYTHON}' -c \"{script}\" '{own.trusted}'"
    chosen = "trust-by-certificate,trust-without-usage,trust-by-authority"
    with listening(over_tls(own.context, kmip(ForeignServer()))) as address:
        result = check(address, *own.options(), "--steps", chosen, "--trust-command", command)
        ignored = check(
            address,
            *own.options(),
            "--steps",
            chosen,
            "--trust-command",
            "true",
            "--timeout",
            "0.1",
        )
    assert result.exit_code == 0, result.output
    assert {verdicts(result)[name] for name in chosen.split(",")} == {"passed"}
    assert verdicts(ignored)["trust-by-certificate"] == "failed", ignored.output


COMMANDS = {
    "false": "false ended with 1",
    "no-such-command": "cannot be started",
    "echo nothing": "printed no usable certificate",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_does_not_work_says_nothing_about_the_server(command: str, pki: PKI) -> None:
    with listening(over_tls(pki.context, kmip(ForeignServer()))) as address:
        result = check(
            address, *pki.options(), "--steps", "trust-by-request", "--sign-command", command
        )
    assert result.exit_code == 0
    assert verdicts(result)["trust-by-request"] == "skipped"
    assert COMMANDS[command] in text(result)


def test_a_renewed_certificate_that_leads_to_no_keys(pki: PKI) -> None:
    """A server that binds keys to the certificate and not to an account."""
    pki.issue("renewed", Purpose.CLIENT)
    servers = {"CN=vcenter": ForeignServer(), "CN=renewed": ForeignServer()}

    def serve(stream: socket.socket) -> None:
        assert isinstance(stream, ssl.SSLSocket)
        subject = dict(part[0] for part in (stream.getpeercert() or {}).get("subject", ()))  # type: ignore[misc]
        kmip(servers[f"CN={subject['commonName']}"])(stream)

    files = pki.directory.files("renewed")
    options = ["--new-cert", str(files.cert), "--new-key", str(files.key)]
    with listening(over_tls(pki.context, serve)) as address:
        result = check(address, *pki.options(), "--steps", "renewed-certificate", *options)
    assert verdicts(result)["renewed-certificate"] == "failed", result.output
    assert "a renewed certificate is the same client" in text(result)


# Users and passwords ---------------------------------------------------------------------------------


@pytest.mark.parametrize("checks", [True, False])
def test_the_user_of_a_provider(checks: bool, pki: PKI, tmp_path: Path) -> None:
    server = ForeignServer(password="correct horse" if checks else None)
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    login = ["--user", "vcenter@example.com", "--password-file", str(password), "--hosts", "2"]
    with listening(over_tls(pki.context, kmip(server))) as address:
        result = check(address, *pki.options(), *login, "--steps", "wrong-password,vsan-hosts")
        without = check(address, *pki.options(), "--steps", "create")
    assert verdicts(result)["wrong-password"] == ("passed" if checks else "warned"), result.output
    assert verdicts(result)["vsan-hosts"] == "passed"
    assert not server.living
    assert verdicts(without)["create"] == ("failed" if checks else "passed")
    assert "correct horse" not in text(result)


# The command -----------------------------------------------------------------------------------------


def test_a_stranger_is_not_taken_for_vcenter(pki: PKI) -> None:
    """Also if the step that makes the certificate of the stranger is not played."""
    with listening(over_tls(pki.context, kmip(ForeignServer()))) as address:
        result = check(address, *pki.options(), "--steps", "stranger")
    assert verdicts(result)["stranger"] == "passed", result.output


def test_more_hosts_than_this_machine_has_files_for(
    pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is no fault of the server."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    with listening(over_tls(pki.context, kmip(ForeignServer()))) as address:
        result = check(address, *pki.options(), "--steps", "power-cut", "--hosts", "100")
    assert result.exit_code == 0
    assert verdicts(result)["power-cut"] == "skipped", result.output
    assert "raise the limit (ulimit -n)" in text(result)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "no-such-step"], "there is no step 'no-such-step'"),
        (["--user", "u"], "--user and --password-file must be used together"),
        (["--report", "pdf:x"], "is not FORM:FILE"),
        (["--replica", "nowhere"], "'nowhere' is not HOST:PORT"),
        (["--sign-command", "'"], "No closing quotation"),
        (["--hosts", "0"], "0 is not in the range"),
        (["--cert", "/dev/null"], "cannot use the certificate"),
    ],
)
def test_wrong_usage(options: list[str], words: str, pki: PKI) -> None:
    result = check("127.0.0.1:1", *pki.options(), *options)
    assert result.exit_code == 2, result.output
    assert words in text(result)


def test_the_list_needs_no_server() -> None:
    result = CliRunner().invoke(vcenter, ["check-kms", "--list"])
    assert result.exit_code == 0
    assert all(step.name in text(result) and step.moment in text(result) for step in STEPS)


def test_ctrl_c_ends_a_check_with_its_clean_up(pki: PKI) -> None:
    """The process gets a signal while it waits for an answer."""
    server = ForeignServer()
    got = threading.Event()
    original = server.handlers[Operation.GET]

    def get(request: object) -> object:
        got.set()
        return original(request)

    server.handlers[Operation.GET] = get
    command = [PYTHON, "-m", "kmipkit", "vcenter", "check-kms"]
    chosen = ",".join(step.name for step in OUTAGES)
    with listening(over_tls(pki.context, kmip(server))) as address:
        arguments = [address, *pki.options(), "--steps", chosen, "--hosts", "50"]
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        assert got.wait(60)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "interrupted" in output
    assert "keys destroyed" in output
    assert not server.living
