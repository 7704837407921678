"""The plug-in of pytest: fixtures for a key server, a client and certificates.

``kmip_server`` is a server for each test; the setting ``kmip_server_scope`` of pytest makes it one for a
class, module, package or session. The marker ``kmip_server`` has the arguments of
:func:`kmipkit.testing.key_server`; it belongs to what the scope is: a test, a class or a module.

Everything is imported in the fixtures, so that other test runs do not pay for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

if TYPE_CHECKING:
    from kmipkit_client import Client

    from kmipkit_testing import PKI, KeyServer

Scope = Literal["session", "package", "module", "class", "function"]
_SCOPES = ("function", "class", "module", "package", "session")
_SETTING = "kmip_server_scope"
_MARKER = "kmip_server"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting."""
    parser.addini(
        _SETTING, f"the scope of the fixture {_MARKER}: {', '.join(_SCOPES)}", "string", "function"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and check the setting before a fixture needs it."""
    _checked_scope(config)
    arguments = "objects, settings, personality"
    meaning = "what the key server of a test has, as for key_server()"
    config.addinivalue_line("markers", f"{_MARKER}({arguments}): {meaning}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marker that would have no effect."""
    scope = item.config.getini(_SETTING)
    if scope != "function" and any(each.name == _MARKER for each in item.own_markers):
        raise pytest.UsageError(
            f"{item.nodeid}: the marker {_MARKER} of a test has no effect with {_SETTING} = {scope}"
        )


def _scope(fixture_name: str, config: pytest.Config) -> Scope:  # noqa: ARG001 - pytest's names
    return _checked_scope(config)


def _checked_scope(config: pytest.Config) -> Scope:
    scope = config.getini(_SETTING)
    if scope not in _SCOPES:
        raise pytest.UsageError(f"{_SETTING} must be one of {', '.join(_SCOPES)}, not {scope!r}")
    return cast("Scope", scope)


@pytest.fixture(scope="session")
def kmip_pki() -> "PKI":
    """The certificates of this process: ``kmip_pki.client("app1")`` has the files of a client."""
    from kmipkit_testing import shared_pki

    return shared_pki()


@pytest.fixture(scope=_scope)
def kmip_server(request: pytest.FixtureRequest) -> "Iterator[KeyServer]":
    """A key server in this process, which ends with the test."""
    from kmipkit_testing import key_server

    with key_server(**_arguments(request)) as server:
        yield server


def _arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    marker = request.node.get_closest_marker(_MARKER)
    if marker is None:
        return {}
    if marker.args:
        raise pytest.UsageError(f"the marker {_MARKER} takes arguments by name only")
    return dict(marker.kwargs)


@pytest.fixture
def kmip_client(kmip_server: "KeyServer") -> "Iterator[Client]":
    """A client of the server with the account ``admin``; it is closed with the test."""
    with kmip_server.client() as client:
        yield client
