"""Names: what the package shows, and attributes by the names that calls take."""

import subprocess
import sys

import kmipkit_client
import pytest

from kmipkit.model.attribute import Attributes, VendorName
from kmipkit.spec.enums import State
from kmipkit.spec.tags import Tag

FOUND = Attributes.of(
    (Tag.STATE, State.ACTIVE),
    (Tag.OBJECT_GROUP, ["disks", "lab"]),
    (VendorName("x", "Owner"), "storage"),
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("State", State.ACTIVE),
        (Tag.STATE, State.ACTIVE),
        ("Object Group", "disks"),
        ("x-Owner", "storage"),
        (VendorName("x", "Owner"), "storage"),
    ],
)
def test_attributes_are_found_by_any_of_their_names(name: str | Tag, value: object) -> None:
    assert FOUND[name] == value
    assert name in FOUND
    assert FOUND.get(name) == value


def test_what_is_missing_is_named_with_what_is_there() -> None:
    assert FOUND.all("Object Group") == ["disks", "lab"]
    for name in ("Initial Date", "x-Nothing", "Stat", Tag.INITIAL_DATE):
        assert name not in FOUND
        assert FOUND.get(name) is None
    with pytest.raises(
        KeyError, match="no attribute 'Initial Date', but State, Object Group, x-Own"
    ):
        _ = FOUND["Initial Date"]


def test_the_package_lists_its_names() -> None:
    """Completion in a shell shows what can be imported."""
    assert set(kmipkit_client.__all__) <= set(dir(kmipkit_client))
    assert all(getattr(kmipkit_client, name) for name in kmipkit_client.__all__)


def test_the_client_needs_neither_server_nor_http_nor_telemetry() -> None:
    """A program that embeds the client loads little more than it uses."""
    script = (
        "import sys\nfrom kmipkit_client import Client\n"
        "Client('kms', cert=None)\n"
        "others = {'trio', 'anyio', 'h11', 'hypercorn', 'lxml', 'msgspec', 'prometheus_client', 'jwt',"
        " 'opentelemetry', 'click'}\n"
        "sys.exit(', '.join(sorted(others & set(sys.modules))) or 0)\n"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
