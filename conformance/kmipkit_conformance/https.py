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
    """Messages over HTTP on an open TLS connection; requests and responses are passed as TTLV."""

    def __init__(self, stream: ssl.SSLSocket, media: str, path: str, limits: Limits) -> None:
        self._stream = stream
        self._media = media
        self._path = path
        self._limits = limits
        self._http = HTTPConnection("kmip")
        self._http.auto_open = 0
        self._http.sock = stream

    def exchange(self, request: bytes) -> bytes:
        """Send a message and wait for the response. NoAnswer if there is none, or an HTTP error."""
        media = MEDIA[self._media]
        headers = {
            "Host": self._stream.server_hostname or "kmip",
            "Content-Type": self._media,
            "Cache-Control": "no-cache",
        }
        try:
            body = media.from_ttlv(request, self._limits)
            self._http.request("POST", self._path, body, headers)
            response = self._http.getresponse()
            answer = response.read(self._limits.max_message + 1)
        except TimeoutError:
            raise NoAnswer("the server did not respond in time") from None
        except (HTTPException, OSError) as error:
            raise NoAnswer(f"no HTTPS response: {error or type(error).__name__}") from None
        if response.status != 200:
            raise NoAnswer(f"HTTP {response.status} {response.reason} instead of 200")
        media_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        if media_type != self._media:
            raise NoAnswer(f"Content-Type {media_type or 'missing'} instead of {self._media}")
        try:
            data = media.to_ttlv(answer, self._limits)
            binary.decode(data, self._limits)
        except ProtocolError as error:
            raise NoAnswer(f"the response is malformed: {error}") from None
        return data
