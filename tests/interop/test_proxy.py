"""PyKMIP's client through the proxy: it notices nothing, and its day can be played again."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_proxy.compare_cli import replay
from proxying import proxy, settings_for

from kmipkit.testing import KeyServer, key_server, shared_pki

pytest.importorskip("kmip")

from kmip.core import enums
from kmip.pie import objects
from kmip.pie.client import ProxyKmipClient

pytestmark = pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated")
MASK = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]


def options(server: KeyServer, port: int) -> dict[str, Any]:
    files = {name: str(getattr(server.settings, name)) for name in ("ca", "cert", "key")}
    return {"hostname": "127.0.0.1", "port": port, **files}


def test_a_program_with_pykmip_goes_through_the_proxy_and_is_replayed(tmp_path: Path) -> None:
    capture = tmp_path / "capture.jsonl"
    material = bytes(range(100, 132))
    with (
        key_server() as old,
        proxy(settings_for(old.port, capture)) as running,
        ProxyKmipClient(**options(old, running.port)) as client,
    ):
        created = client.create(
            enums.CryptographicAlgorithm.AES, 256, cryptographic_usage_mask=MASK
        )
        client.activate(created)
        client.get(created)
        value = objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, material, MASK, "disk")
        assert client.get(client.register(value)).value == material
        assert len(client.locate()) == 2
    assert material.hex() not in capture.read_text()
    files = shared_pki().client()
    arguments = ["--ca", files.ca, "--cert", files.cert, "--key", files.key]
    with key_server() as new:
        played = CliRunner().invoke(
            replay, [str(capture), "--target", f"127.0.0.1:{new.port}", *map(str, arguments)]
        )
    assert played.exit_code == 0, played.output
    assert "not in the capture: 1 secret;" in played.output
