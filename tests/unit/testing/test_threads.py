"""A server in a thread of another program, without anything for tests."""

import threading
from pathlib import Path
from queue import Queue

import trio
from kmipkit_client import Client
from kmipkit_server import app
from kmipkit_server.config import AuditConfig, Config
from kmipkit_server.config.sections import ListenConfig, StoreConfig, TLSConfig
from kmipkit_server.service.ready import Ready
from servers import ANSWER_TIMEOUT

from kmipkit.testing import shared_pki


def test_a_program_runs_a_server_in_a_thread(tmp_path: Path) -> None:
    """Signals belong to the program: only its main thread could receive them."""
    files, own = shared_pki().server(), shared_pki().client()
    config = Config(
        listen=ListenConfig(port=0),
        tls=TLSConfig(files.cert, files.key, ca=files.ca),
        store=StoreConfig(tmp_path / "data"),
        audit=AuditConfig(enabled=False),
    )
    ready: Queue[tuple[trio.lowlevel.TrioToken, trio.CancelScope, Ready]] = Queue()

    async def serve() -> None:
        token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as scope:
            await app.serve(config, lambda state: ready.put((token, scope, state)))

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    token, scope, state = ready.get(timeout=ANSWER_TIMEOUT)
    try:
        assert not state.is_test_mode
        with Client(state.host, state.port, ca=own.ca, cert=own.cert, key=own.key) as client:
            assert client.query().vendor_identification == "kmipkit"
            assert client.create_key_pair(length=2048)
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join(ANSWER_TIMEOUT)
    assert not thread.is_alive()
