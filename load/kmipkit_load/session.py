"""One connection that waits for each response: for what comes before and after the measurement."""

from typing import Any

from kmipkit_client import calls, messages
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed

from kmipkit.errors import ProtocolError
from kmipkit.model.codec import encode
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.pairing import check_pairing
from kmipkit.spec.versions import V1_0, Version
from kmipkit_load.encoding import Encoding
from kmipkit_load.errors import LinkFailed, LoadError
from kmipkit_load.framing import CLOSED
from kmipkit_load.network import Network


class Session:
    """Exchanges messages one after the other."""

    def __init__(self, network: Network, encoding: Encoding, timeout: float = 30.0) -> None:
        """``timeout``: seconds for each response."""
        self._network = network
        self._encoding = encoding
        self._timeout = round(timeout * 1e9)
        self._link = network.link()

    def exchange(self, body: bytes) -> bytes:
        """Send a message and wait for the response. LinkFailed if there is none."""
        self._link.send(body)
        until = self._network.now() + self._timeout
        while (left := until - self._network.now()) > 0:
            for link in self._network.wait(left):
                response = link.advance()
                if response is not None:
                    return response
        self._link.close()
        raise LinkFailed("no response in time")

    def ask(self, call: Call[Any], version: Version) -> Any:
        """The result of a call. OperationFailed, ProtocolError or LinkFailed if there is none."""
        response = self._response(messages.request(version, [call]), version)
        [result] = messages.results([call], response)
        if isinstance(result, OperationFailed):
            raise result
        return result

    def _response(self, request: RequestMessage, version: Version) -> ResponseMessage:
        body = self._encoding.body(encode(request, version))
        response = self._encoding.decode(self.exchange(body))
        check_pairing(request, response)
        return response

    def negotiate(self) -> Version:
        """The newest version that both sides support (KMIP 1.4 §4.26). LoadError if there is none.

        A server that does not know Discover Versions may close the connection in place of an answer.
        """
        problem = ""
        for version in messages.NEGOTIATION:
            request = messages.discovery_request(version)
            try:
                common = messages.common_version(self._response(request, version))
            except (LinkFailed, ProtocolError) as error:
                problem = str(error)
                if isinstance(error, LinkFailed) and problem != CLOSED:
                    raise LoadError(problem) from None
            else:
                if common is not None:
                    return common
        if problem and not self._understands(V1_0):
            raise LoadError(f"{problem}; if it needs another version, give it with --kmip")
        return V1_0

    def _understands(self, version: Version) -> bool:
        """Whether the server answers a Query of this version, however."""
        try:
            self.ask(calls.query(()), version)
        except (LinkFailed, ProtocolError):
            return False
        except OperationFailed:
            pass
        return True

    def close(self) -> None:
        """Close the connection."""
        self._link.close()
