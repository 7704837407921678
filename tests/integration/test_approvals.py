"""Approvals over real connections: three persons, each with a certificate."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_client import OperationFailed
from kmipkit_server.admin.cli import admin
from servers import RunningServer

POLICY = """
[rules."two persons"]
require = ["destroy objects", "get"]
objects = "prod-*"
approvals = { by = ["officer"] }
"""


def run(server: RunningServer, identity: str, *arguments: str) -> Any:
    """``kmipkit admin`` with the certificate of an account."""
    files = server.credentials(identity)
    options = [f"--{name}={path}" for name, path in files.items()]
    address = f"--server=127.0.0.1:{server.port}"
    return CliRunner().invoke(admin, [*arguments, address, *options])


def test_a_key_is_destroyed_when_an_officer_has_approved(
    own_server: RunningServer, tmp_path: Path
) -> None:
    """The commands that the refusal and the page name, with nothing but certificates."""
    own_server.start()
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    applied = run(own_server, "admin", "policy", "apply", str(file))
    assert applied.exit_code == 0, applied.output
    with own_server.client("app") as app:
        key = app.create(name="prod-1")
        free = app.create(name="test-1")
        app.destroy(free)
        with pytest.raises(OperationFailed, match="kmipkit admin policy approvals approve 1"):
            app.destroy(key)
        listed = run(own_server, "officer", "policy", "approvals", "list")
        assert "Symmetric Key prod-1" in listed.output, listed.output
        own = run(own_server, "app", "policy", "approvals", "approve", "1")
        assert (own.exit_code, "their own account" in own.output) == (1, True), own.output
        other = run(own_server, "other", "policy", "approvals", "approve", "1")
        assert (other.exit_code, "there is no request 1" in other.output) == (1, True)
        approved = run(own_server, "officer", "policy", "approvals", "approve", "1")
        assert approved.output == (
            "approved: request 1, Destroy by app of Symmetric Key prod-1; it can be repeated now\n"
        )
        app.destroy(key)
    assert "no request waits" in run(own_server, "admin", "policy", "approvals", "list").output
