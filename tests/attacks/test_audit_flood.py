"""Who has no certificate cannot fill the disk with records: those of one address are one a minute."""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from audited import AuditedLaboratory
from kmipkit_server.audit.query import Filter
from kmipkit_server.audit.records import Event
from kmipkit_server.audit.service import Audit
from kmipkit_server.net.connection_log import PERIOD, Occurrence
from kmipkit_server.service.audit import MAX_RECORDED_KEYS, recorded_refusals
from servers import RunningServer


def test_failed_handshakes_are_recorded_once_with_their_reason(own_server: RunningServer) -> None:
    server = own_server.start()
    context = ssl.create_default_context(cafile=server.pki.ca)
    for _ in range(20):
        with (
            suppress(OSError),  # of TLS, too
            server.connect() as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as stream,
        ):
            stream.recv(1)
    server.stop()
    [match] = [each for each in server.records(Filter()) if each.entry.event is Event.CONNECTION]
    assert match.entry.kind == "TLS handshake failed"
    assert match.entry.client.address == "127.0.0.1"
    assert "certificate" in match.entry.message


@pytest.mark.parametrize("addresses", [1, 10_000])
def test_a_flood_is_counted(tmp_path: Path, addresses: int) -> None:
    """However many addresses and connections there are, the records of a minute are few."""
    laboratory = AuditedLaboratory(tmp_path / "data")
    flood = 20_000

    async def work(audit: Audit) -> None:
        throttle = recorded_refusals(audit)
        for number in range(flood):
            address = f"2001:db8::{number % addresses:x}"
            throttle.add(0.0, Occurrence(30, address, 4711, "TLS handshake failed", "x" * 10_000))
        throttle.flush(PERIOD)
        await trio.lowlevel.checkpoint()

    laboratory.run(work)
    found = [each for each in laboratory.entries() if each.event is Event.CONNECTION]
    size = sum(path.stat().st_size for path in laboratory.directory.iterdir())
    laboratory.close()
    assert sum(each.count or 1 for each in found) == flood, "none is forgotten"
    assert len(found) <= 2 * MAX_RECORDED_KEYS + 2
    assert size < 1_000_000
