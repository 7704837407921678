from typing import NamedTuple
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version
class OperationSpec(NamedTuple):
    operation: Operation
    def known_in(self, version: Version) -> bool:
        return self.operation.known_in(version)
OPERATIONS = tuple(OperationSpec(o) for o in Operation)
BY_OPERATION = {r.operation: r for r in OPERATIONS}
