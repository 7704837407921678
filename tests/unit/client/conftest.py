"""What the tests of the clients share."""

from pathlib import Path

import pytest

from kmipkit.testing import PKI, shared_pki


@pytest.fixture(scope="session")
def pki() -> Path:
    """The folder with the certificates of scripted servers."""
    certificates: PKI = shared_pki()
    certificates.client("me")
    return certificates.server().cert.parent
