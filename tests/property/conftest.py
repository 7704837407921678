"""What the tests of properties share."""

import pytest
from kmipkit_server.vault.file import FileVault


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> FileVault:
    return FileVault.open(tmp_path_factory.mktemp("vault") / "root.key")
