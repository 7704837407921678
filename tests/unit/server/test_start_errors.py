"""What an operator reads if a server cannot start: one line that says why, and no traceback."""

from pathlib import Path

import pytest
import trio
from kmipkit_server import app
from kmipkit_server.config import AuditConfig, Config
from kmipkit_server.config.sections import ListenConfig, StoreConfig, TLSConfig
from kmipkit_server.running import serving
from kmipkit_server.store.errors import StoreError

from kmipkit.testing import shared_pki


@pytest.mark.parametrize("error", [StoreError("the disk is full"), PermissionError("not yours")])
def test_an_error_after_the_store_has_been_opened_is_raised_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The command line explains such errors, and a worker tells them to its supervisor."""

    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(serving, "_restore", fail)
    files = shared_pki().server()
    config = Config(
        listen=ListenConfig(port=0),
        tls=TLSConfig(files.cert, files.key, ca=files.ca),
        store=StoreConfig(tmp_path / "data"),
        audit=AuditConfig(enabled=False),
    )
    with pytest.raises(type(error)) as raised:
        trio.run(app.serve, config, lambda _: None)
    assert raised.value is error


def test_a_defect_stays_what_it_is() -> None:
    """It needs its traceback."""

    async def work() -> None:
        with serving.plain_errors():
            async with trio.open_nursery():
                raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        trio.run(work)
