"""A real tool reads and writes an unlocked disk, while the file on disk is ciphertext (R41)."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from kmipkit_vsphere.demo.laboratory import GUEST, HOST, Laboratory
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.service import GUEST as GUEST_ROLE
from kmipkit_vsphere.host.service import host_calls
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.nbd import plugin
from kmipkit_vsphere.nbd.export import ENVIRONMENT, Export
from kmipkit_vsphere.rpc import channel as rpc
from servers import ANSWER_TIMEOUT

MISSING = [tool for tool in ("nbdkit", "qemu-img", "qemu-io") if shutil.which(tool) is None]
needs_tools = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

KEY = CryptoKeyId("KMS", "vm")
SIZE = 4 * 1024 * 1024
PATTERN = b"CONFIDENTIAL " * 80


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host.start(HOST, tmp_path / HOST)
    made.machines.create("db1", SIZE)
    made.guests.write_disk("db1", 1_000_001, PATTERN)
    made.keys.crypto.prepare()
    made.keys.enable(CryptoKeyPlain(KEY, "AES-256", Secret(b"k" * 32)))
    made.machines.reconfigure("db1", CryptoSpecKind.ENCRYPT, KEY)
    yield made
    made.close()


async def exported(host: Host, lab: Laboratory, socket: Path, *command: str) -> str:
    """What a command prints while the disk is exported on a socket; its errors too."""
    methods = host_calls(host)
    callers = {GUEST: frozenset({GUEST_ROLE})}
    server = rpc.Server(methods, callers, lab.role(HOST).server_context())
    async with trio.open_nursery() as nursery:
        address = await nursery.start(server.serve, ("127.0.0.1", 0))
        export = Export(HOST, address, lab.role(GUEST), "db1", socket=socket)
        with export.files() as files:
            nbdkit = await trio.lowlevel.open_process(
                export.command(files),
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                pass_fds=files.descriptors,
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


@needs_tools
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
    assert PATTERN[:64] not in host.datastore.machine("db1").disk.data.read_bytes()


@needs_tools
def test_r41_what_a_tool_writes_lies_encrypted(tmp_path: Path, host: Host) -> None:
    lab = Laboratory(tmp_path)
    lab.make_roles()
    socket = tmp_path / "nbd.sock"
    url = f"nbd+unix:///?socket={socket}"
    write = ("qemu-io", "-f", "raw", "-c", "write -P 0x5a 65536 600000", "-c", "flush", url)
    text = trio.run(exported, host, lab, socket, *write)
    assert "wrote 600000/600000" in text, text
    assert host.guests.read_disk("db1", 65536, 600_000) == b"\x5a" * 600_000
    assert b"\x5a" * 32 not in host.datastore.machine("db1").disk.data.read_bytes()


@needs_tools
def test_a_locked_disk_says_why_it_cannot_be_read(tmp_path: Path, host: Host) -> None:
    lab = Laboratory(tmp_path)
    lab.make_roles()
    host.machines.lock("db1")
    host.keys.remove(KEY, force=True)
    socket = tmp_path / "nbd.sock"
    text = trio.run(
        exported, host, lab, socket, "qemu-img", "info", f"nbd+unix:///?socket={socket}"
    )
    assert "the host lacks key KMS/vm" in text


async def served(host: Host, lab: Laboratory, work: Callable[[plugin.Channel], None]) -> None:
    """Use the plugin without nbdkit, in a thread, as nbdkit does."""
    server = rpc.Server(
        host_calls(host), {GUEST: frozenset({GUEST_ROLE})}, lab.role(HOST).server_context()
    )
    async with trio.open_nursery() as nursery:
        address, port = await nursery.start(server.serve, ("127.0.0.1", 0))
        files = lab.role(GUEST)
        settings = {
            "address": address,
            "port": str(port),
            "host": HOST,
            "machine": "db1",
            "cert": str(files.certificate),
            "key": str(files.key),
            "ca": str(files.authorities),
        }
        for name, value in settings.items():
            plugin.config(name, value)
        plugin.config_complete()
        channel = plugin.open(False)
        try:
            await trio.to_thread.run_sync(work, channel)
        finally:
            plugin.close(channel)
        nursery.cancel_scope.cancel()


def test_the_plugin_reads_writes_and_reports_the_hosts_reason(tmp_path: Path, host: Host) -> None:
    lab = Laboratory(tmp_path)
    lab.make_roles()

    def work(channel: plugin.Channel) -> None:
        assert plugin.get_size(channel) == SIZE
        buffer = bytearray(600_000)
        plugin.pread(channel, buffer, 1_000_001, 0)
        assert buffer[: len(PATTERN)] == PATTERN
        plugin.pwrite(channel, b"\x5a" * 600_000, 65536, 0)
        plugin.flush(channel, 0)
        plugin.pread(channel, buffer, 65536, 0)
        assert buffer == b"\x5a" * 600_000
        host.machines.lock("db1")
        host.keys.remove(KEY, force=True)
        with pytest.raises(RuntimeError, match="the host lacks key KMS/vm"):
            plugin.pread(channel, buffer, 0, 0)

    trio.run(served, host, lab, work)
