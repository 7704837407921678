"""A real tool reads and writes an unlocked disk, while the file on disk is ciphertext (R41)."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from kmipkit_vsphere.demo.laboratory import GUEST, HOST, Laboratory
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.service import GUEST as GUEST_ROLE
from kmipkit_vsphere.host.service import HostService
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.nbd.export import ENVIRONMENT, Export
from kmipkit_vsphere.rpc import channel as rpc
from servers import ANSWER_TIMEOUT

MISSING = [tool for tool in ("nbdkit", "qemu-img", "qemu-io") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

KEY = CryptoKeyId("KMS", "vm")
SIZE = 4 * 1024 * 1024
PATTERN = b"CONFIDENTIAL " * 80


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host.start(HOST, tmp_path / HOST)
    made.create_machine("db1", SIZE)
    made.write_disk("db1", 1_000_001, PATTERN)
    made.crypto.prepare()
    made.enable(CryptoKeyPlain(KEY, "AES-256", Secret(b"k" * 32)))
    made.encrypt_machine("db1", KEY)
    yield made
    made.close()


async def exported(host: Host, lab: Laboratory, socket: Path, *command: str) -> str:
    """What a command prints while the disk is exported on a socket; its errors too."""
    methods = HostService(host).methods()
    callers = {GUEST: frozenset({GUEST_ROLE})}
    server = rpc.Server(methods, callers, lab.role(HOST).server_context())
    async with trio.open_nursery() as nursery:
        address = await nursery.start(server.serve, ("127.0.0.1", 0))
        export = Export(HOST, address, lab.role(GUEST), "db1", socket=socket)
        nbdkit = await trio.lowlevel.open_process(
            export.command(), stderr=subprocess.PIPE, env=ENVIRONMENT
        )
        try:
            with trio.fail_after(ANSWER_TIMEOUT):
                while not await trio.Path(socket).exists():
                    assert nbdkit.poll() is None, "nbdkit ended"
                    await trio.sleep(0.01)
                done = await trio.run_process(
                    list(command), capture_stdout=True, capture_stderr=True, check=False
                )
        finally:
            nbdkit.terminate()
            await nbdkit.wait()
            assert nbdkit.stderr is not None
            errors = await nbdkit.stderr.receive_some(65536)
        nursery.cancel_scope.cancel()
    return (done.stdout + done.stderr + bytes(errors)).decode(errors="replace")


def test_r41_qemu_img_sees_plain_text_where_the_file_is_ciphertext(
    tmp_path: Path, host: Host
) -> None:
    lab = Laboratory(tmp_path)
    lab.make_roles()
    socket, raw = tmp_path / "nbd.sock", tmp_path / "raw"
    url = f"nbd+unix:///?socket={socket}"
    text = trio.run(exported, host, lab, socket, "qemu-img", "convert", "-O", "raw", url, str(raw))
    data = raw.read_bytes()
    assert len(data) == SIZE, text
    assert data[1_000_001 : 1_000_001 + len(PATTERN)] == PATTERN
    assert PATTERN[:64] not in host.machine("db1").disk.data.read_bytes()


def test_r41_what_a_tool_writes_lies_encrypted(tmp_path: Path, host: Host) -> None:
    lab = Laboratory(tmp_path)
    lab.make_roles()
    socket = tmp_path / "nbd.sock"
    url = f"nbd+unix:///?socket={socket}"
    write = ("qemu-io", "-f", "raw", "-c", "write -P 0x5a 65536 600000", "-c", "flush", url)
    text = trio.run(exported, host, lab, socket, *write)
    assert "wrote 600000/600000" in text, text
    assert host.read_disk("db1", 65536, 600_000) == b"\x5a" * 600_000
    assert b"\x5a" * 32 not in host.machine("db1").disk.data.read_bytes()


def test_a_locked_disk_says_why_it_cannot_be_read(tmp_path: Path, host: Host) -> None:
    lab = Laboratory(tmp_path)
    lab.make_roles()
    host.lock("db1")
    host.remove_key(KEY, force=True)
    socket = tmp_path / "nbd.sock"
    text = trio.run(
        exported, host, lab, socket, "qemu-img", "info", f"nbd+unix:///?socket={socket}"
    )
    assert "the host lacks key KMS/vm" in text
