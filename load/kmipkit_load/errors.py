"""What may go wrong with a run as a whole; failed requests are counted, and raise nothing."""

from kmipkit.errors import KMIPError


class LoadError(KMIPError):
    """The run cannot begin, or a file of results cannot be used."""


class MixError(LoadError):
    """A mix is not valid, or does not exist."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class LinkFailed(Exception):
    """A connection failed; the text says why, without addresses, so that equal failures are counted
    together.

    ``may_have_arrived``: whether the server may have received the request.
    """

    def __init__(self, reason: str, *, may_have_arrived: bool = True) -> None:
        super().__init__(reason)
        self.may_have_arrived = may_have_arrived
