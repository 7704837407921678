"""Tasks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.endpoint import finder
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.managed import (
    ExtensibleManagedObject,
    ManagedObject,
    method,
    prop,
)
from kmipkit_vsphere.web_services.task_list import RunningTask, is_over
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.faults import InvalidState, NotSupported
from kmipkit_vsphere.web_services.vim25.tasks import TaskInfo

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

MAX_RECENT: Final = 20


class Task(ExtensibleManagedObject):
    """A task."""

    def __init__(self, ref: Ref, task: RunningTask) -> None:
        super().__init__(ref)
        self._task = task

    @prop()
    def info(self, _call: "Call") -> TaskInfo:
        """Its state."""
        return self._task.info

    @method("CancelTask")
    async def cancel_task(self, _call: "Call") -> None:
        """No task of the laboratory can be cancelled."""
        if is_over(self._task.info):
            raise Fault(InvalidState(), "the task has ended")
        raise Fault(NotSupported(), "this task cannot be cancelled")


@finder("Task")
def find_task(call: "Call", ref: Ref) -> Task | None:
    """A task of the caller; all tasks for those who may see everything."""
    task = call.endpoint.tasks.find(ref.value)
    return Task(ref, task) if task is not None and _is_visible(call, task) else None


def _is_visible(call: "Call", task: RunningTask) -> bool:
    return call.session is not None and (
        task.user == call.user or call.has(Privilege.VIEW, task.entity)
    )


class TaskManager(ManagedObject, moid="TaskManager", content="task_manager"):
    """The tasks of the server."""

    @prop()
    def recent_task(self, call: "Call") -> Sequence[Ref]:
        """The newest tasks that the caller sees."""
        tasks = [task for task in call.endpoint.tasks.all() if _is_visible(call, task)]
        return [task.info.task for task in tasks[-MAX_RECENT:]]

    @prop()
    def max_collector(self, _call: "Call") -> int:
        """There are no collectors of tasks."""
        return 0
