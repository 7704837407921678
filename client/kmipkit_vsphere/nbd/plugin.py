"""The script for nbdkit's python plugin: it forwards reads and writes to the host role.

It runs in the Python that nbdkit was built with, so it uses the standard library only. It calls the
host as a guest does, with a guest's certificate: JSON over HTTPS (:mod:`kmipkit_vsphere.rpc.api`).
Data keys never leave the host's process.
"""

import base64
import http.client
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


class Connection(http.client.HTTPConnection):
    """A connection to the host; its certificate must carry the host's name, whatever the address."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(_settings["host"])
        self._context = context

    def connect(self) -> None:
        """Connect, also again after the host has closed the connection."""
        address = (_settings["address"], int(_settings["port"]))
        with socket.create_connection(address, timeout=30) as tcp:  # TLS takes over the socket
            self.sock = self._context.wrap_socket(tcp, server_hostname=_settings["host"])


class Channel:
    """Calls to the host role; a broken connection is reopened once."""

    def __init__(self) -> None:
        context = ssl.create_default_context(cafile=_settings["ca"])
        context.load_cert_chain(_settings["cert"], _settings["key"])
        self._lock = threading.Lock()
        self._connection = Connection(context)

    def call(self, method: str, **fields: Any) -> Any:
        """The answer to a call for this export's disk; RuntimeError with the host's reason."""
        export = {"name": _settings["machine"], "disk": int(_settings.get("disk", "0"))}
        body = json.dumps({**export, **fields}).encode()
        with self._lock:
            try:
                status, answer = self._exchange(method, body)
            except (OSError, http.client.HTTPException):
                self.close()
                status, answer = self._exchange(method, body)
        if status != http.HTTPStatus.OK:
            raise RuntimeError(answer["message"])
        return answer

    def _exchange(self, method: str, body: bytes) -> tuple[int, Any]:
        self._connection.request(
            "POST", f"/api/{method}", body, {"Content-Type": "application/json"}
        )
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


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
