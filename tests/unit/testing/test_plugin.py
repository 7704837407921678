"""The plug-in of pytest: what the tests of a user see of it."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

PLUGIN = "kmipkit_testing.plugin"
# In a checkout that was not installed since, pytest does not find the plug-in by itself.
OPTIONS = () if entry_points(group="pytest11", name="kmipkit") else ("-p", PLUGIN)


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    # A process of its own: this one has an authority already, and other plug-ins.
    return pytester.runpytest_subprocess("-q", "--strict-markers", *OPTIONS, *options)


def test_the_fixtures_work(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from kmipkit.testing import Seed

        def test_client(kmip_client, kmip_server):
            key = kmip_client.create(name="backup")
            assert [each.operation.name for each in kmip_server.requests][-1] == "CREATE"

        def test_each_test_has_its_own_server(kmip_client):
            assert kmip_client.locate(name="backup").ids == ()

        @pytest.mark.kmip_server(objects=["seeded"], settings={"kmip": {"lease_seconds": 60}})
        def test_marker(kmip_server, kmip_client):
            assert kmip_client.locate(name="seeded").ids == (kmip_server.ids["seeded"],)

        def test_certificates(kmip_pki, kmip_server):
            files = kmip_pki.client("app1")
            assert kmip_server.settings_of("app1").cert == files.cert
        """
    )
    run(pytester).assert_outcomes(passed=4)


def test_a_session_has_one_server_in_each_worker(pytester: pytest.Pytester) -> None:
    """Workers of pytest-xdist share no port and no file."""
    pytester.makeini("[pytest]\nkmip_server_scope = session")
    pytester.makepyfile(
        """
        import pytest

        servers = set()

        @pytest.mark.parametrize("number", range(6))
        def test_client(kmip_server, kmip_client, number):
            servers.add(kmip_server.port)
            assert len(servers) == 1
            kmip_client.create(name=f"key {number}")
            assert len(kmip_client.locate().ids) <= 6
        """
    )
    run(pytester, "-n2").assert_outcomes(passed=6)


@pytest.mark.parametrize(
    ("setting", "marker", "message"),
    [
        ("test", "", "kmip_server_scope must be one of function, class, *, not 'test'"),
        ("function", '@pytest.mark.kmip_server(["seeded"])', "*takes arguments by name only*"),
        (
            "module",
            '@pytest.mark.kmip_server(objects=["a"])',
            "has no effect with kmip_server_scope = module",
        ),
    ],
)
def test_what_is_wrong_is_said(
    pytester: pytest.Pytester, setting: str, marker: str, message: str
) -> None:
    pytester.makeini(f"[pytest]\nkmip_server_scope = {setting}")
    pytester.makepyfile(f"import pytest\n{marker}\ndef test_it(kmip_server): pass")
    done = run(pytester)
    (done.stderr if setting == "test" else done.stdout).fnmatch_lines([f"*{message}*"])
    assert "INTERNALERROR" not in done.stdout.str()


def test_a_module_has_a_server_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkmip_server_scope = module")
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kmip_server(objects=["seeded"])

        def test_first(kmip_client):
            assert kmip_client.locate(name="seeded").ids

        def test_second(kmip_server):
            assert kmip_server.ids["seeded"]
        """
    )
    run(pytester).assert_outcomes(passed=2)


def test_other_test_runs_do_not_pay_for_it() -> None:
    """Every pytest of the environment loads the plug-in: it must not load a key server."""
    program = (
        f"import sys, {PLUGIN}\n"
        "print([each for each in sys.modules if each.startswith(('kmipkit', 'trio', 'cryptography'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == f"['kmipkit_testing', '{PLUGIN}']\n"
