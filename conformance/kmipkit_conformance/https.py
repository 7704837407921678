"""KMIP over HTTPS for the tester: ``POST`` with TTLV, XML or JSON (Profiles 2.1 §5.3)."""

import ssl
from http.client import HTTPConnection, HTTPException

from kmipkit.errors import ProtocolError
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.media import MEDIA
from kmipkit_conformance.errors import NoAnswer

PATH = "/kmip"
"""The path that the profile recommends."""


class HTTPSChannel:
    """Messages over HTTP on a TLS connection that is open; requests and answers as TTLV."""

    def __init__(self, stream: ssl.SSLSocket, media: str, path: str, limits: Limits) -> None:
        self._stream = stream
        self._media = media
        self._path = path
        self._limits = limits
        self._http = HTTPConnection("kmip")
        self._http.auto_open = 0
        self._http.sock = stream

    def exchange(self, request: bytes) -> bytes:
        """Send a message and wait for the answer. NoAnswer if there is none that HTTP allows."""
        media = MEDIA[self._media]
        headers = {
            "Host": self._stream.server_hostname or "kmip",
            "Content-Type": self._media,
            "Cache-Control": "no-cache",
        }
        try:
            body = media.of_ttlv(request, self._limits)
            self._http.request("POST", self._path, body, headers)
            response = self._http.getresponse()
            answer = response.read(self._limits.max_message + 1)
        except TimeoutError:
            raise NoAnswer("the server did not answer in time") from None
        except (HTTPException, OSError) as error:
            raise NoAnswer(f"no answer over HTTPS: {error or type(error).__name__}") from None
        if response.status != 200:
            raise NoAnswer(f"HTTP {response.status} {response.reason} instead of 200")
        told = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        if told != self._media:
            raise NoAnswer(f"Content-Type {told or 'missing'} instead of {self._media}")
        try:
            data = media.to_ttlv(answer, self._limits)
            binary.decode(data, self._limits)
        except ProtocolError as error:
            raise NoAnswer(f"the answer cannot be read: {error}") from None
        return data
