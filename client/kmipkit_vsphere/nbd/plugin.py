"""The script for nbdkit's python plugin: it forwards reads and writes to the host role.

It runs in the Python that nbdkit was built with, so it uses the standard library only. It calls the
host as a guest does, with a guest's certificate: JSON in length-prefixed frames over mutual TLS
(:mod:`kmipkit_vsphere.rpc.frames`). Data keys never leave the host's process.
"""

import base64
import json
import socket
import ssl
import threading
from typing import Any

API_VERSION = 2
MAX_CALL = 256 * 1024  # MAX_READ of kmipkit_vsphere.calls.guest

_settings: dict[str, str] = {}


def config(key: str, value: str) -> None:
    """nbdkit passes a parameter of its command line."""
    _settings[key] = value


def config_complete() -> None:
    """nbdkit has passed all parameters."""
    missing = {"address", "port", "host", "machine", "cert", "key", "ca"} - set(_settings)
    if missing:
        raise RuntimeError(f"parameters are missing: {', '.join(sorted(missing))}")


def thread_model() -> int:
    """One call at a time on a connection; clients may have several connections."""
    import nbdkit  # type: ignore[import-not-found,unused-ignore]  # only inside nbdkit

    return int(nbdkit.THREAD_MODEL_SERIALIZE_REQUESTS)


class Channel:
    """Calls to the host role; a broken connection is reopened once."""

    def __init__(self) -> None:
        self._context = ssl.create_default_context(cafile=_settings["ca"])
        self._context.load_cert_chain(_settings["cert"], _settings["key"])
        self._lock = threading.Lock()
        self._stream: ssl.SSLSocket | None = None
        self._last = 0

    def call(self, method: str, **params: Any) -> Any:
        """The result of a call for this export's disk; RuntimeError with the host's reason."""
        export = {"name": _settings["machine"], "disk": int(_settings.get("disk", "0"))}
        with self._lock:
            try:
                answer = self._exchange(method, {**export, **params})
            except OSError:
                self.close()
                answer = self._exchange(method, {**export, **params})
        if answer.get("error") is not None:
            raise RuntimeError(answer["error"]["message"])
        return answer["result"]

    def _exchange(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if self._stream is None:
            address = (_settings["address"], int(_settings["port"]))
            with socket.create_connection(address, timeout=30) as tcp:  # TLS takes over the socket
                self._stream = self._context.wrap_socket(tcp, server_hostname=_settings["host"])
        self._last += 1
        data = json.dumps({"id": self._last, "method": method, "params": params}).encode()
        self._stream.sendall(len(data).to_bytes(4, "big") + data)
        size = int.from_bytes(self._read(4), "big")
        return dict(json.loads(self._read(size)))

    def _read(self, size: int) -> bytes:
        assert self._stream is not None
        data = b""
        while len(data) < size:
            part = self._stream.recv(size - len(data))
            if not part:
                raise ConnectionResetError("the host closed the connection")
            data += part
        return data

    def close(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def open(_readonly: bool) -> Channel:  # noqa: A001 -- nbdkit calls it by this name
    """A client connects."""
    return Channel()


def close(channel: Channel) -> None:
    """A client disconnects."""
    channel.close()


def get_size(channel: Channel) -> int:
    """The size of the disk in bytes."""
    return int(channel.call("DiskInfo")["size"])


def pread(channel: Channel, buffer: Any, offset: int, _flags: int) -> None:
    """Read into the buffer."""
    view = memoryview(buffer)
    for start in range(0, len(view), MAX_CALL):
        length = min(MAX_CALL, len(view) - start)
        data = channel.call("ReadDisk", offset=offset + start, length=length)
        view[start : start + length] = base64.b64decode(data)


def pwrite(channel: Channel, buffer: Any, offset: int, _flags: int) -> None:
    """Write the buffer; durable when the host answers."""
    view = memoryview(buffer)
    for start in range(0, len(view), MAX_CALL):
        data = base64.b64encode(view[start : start + MAX_CALL]).decode("ascii")
        channel.call("WriteDisk", offset=offset + start, data=data)


def flush(channel: Channel, _flags: int) -> None:
    """Make all earlier writes durable."""
    channel.call("FlushDisk")
