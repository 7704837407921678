"""Numbers that count what the whole server has or does, as accounts of a tenant get them.

The position of an object in a list, the number of a connection or of an audit record: their gaps would
tell a tenant how much others do, and that there are any. So a tenant gets other numbers in their place,
by a permutation with a key (a Feistel network, Luby and Rackoff 1988), which the server reverses.
"""

import hmac
from typing import NamedTuple

_ROUNDS = range(4)


class Concealment(NamedTuple):
    """A permutation of numbers, of which each tenant has one of its own for each kind of number."""

    key: bytes
    tenant: str
    kind: str
    half: int
    """Half of the bits that are exchanged; what is above stays."""

    def conceal(self, number: int) -> int:
        """The number in place of another one."""
        above, left, right = self._parts(number)
        for step in _ROUNDS:
            left, right = right, left ^ self._mixed(step, right)
        return self._number(above, left, right)

    def reveal(self, number: int) -> int:
        """The number that has this one in its place."""
        above, left, right = self._parts(number)
        for step in reversed(_ROUNDS):
            left, right = right ^ self._mixed(step, left), left
        return self._number(above, left, right)

    def _parts(self, number: int) -> tuple[int, int, int]:
        mask = (1 << self.half) - 1
        return number >> 2 * self.half, number >> self.half & mask, number & mask

    def _number(self, above: int, left: int, right: int) -> int:
        return (above << self.half | left) << self.half | right

    def _mixed(self, step: int, part: int) -> int:
        text = f"{self.kind}/{self.tenant}/{step}/{part}".encode()
        return int.from_bytes(hmac.digest(self.key, text, "sha256")) & ((1 << self.half) - 1)


POSITION_HALF = 26
"""For positions and records: JSON numbers of 53 bits are read as they are by all programs."""
SHORT_HALF = 16
"""For numbers that people type."""
