"""Tasks: work that goes on after the call that began it, and that clients wait for."""

import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import trio

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.defects import describe
from kmipkit_vsphere.model.errors import InternalFault, VSphereError
from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.web_services.faults import Fault, fault_of
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.tasks import TaskInfo, TaskInfoState, TaskReasonUser

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call
    from kmipkit_vsphere.web_services.endpoint import Endpoint

MAX_ENDED: Final = 200
"""Tasks that have ended and can still be asked about."""
MAX_RUNNING: Final = 200

log = logging.getLogger("kmipkit.vsphere.web_services")


@dataclass(eq=False)
class RunningTask:
    """One task; ``info`` is replaced whenever it changes."""

    info: TaskInfo
    user: str
    entity: str
    """On which one must see it to see the task."""


class TaskList:
    """The tasks of one endpoint, the newest last."""

    def __init__(self, endpoint: "Endpoint") -> None:
        self._endpoint = endpoint
        self._clock: Clock = endpoint.vcenter.clock
        self._numbers = itertools.count(1)
        self._tasks: dict[str, RunningTask] = {}

    def find(self, key: str) -> RunningTask | None:
        """The task of this key, if it is still known."""
        return self._tasks.get(key)

    def all(self) -> list[RunningTask]:
        """All tasks that are known."""
        return list(self._tasks.values())

    def start(
        self,
        call: "Call",
        description_id: str,
        work: Callable[[], Awaitable[Any]],
        entity: Ref | None = None,
        entity_name: str | None = None,
        method: str | None = None,
    ) -> Ref:
        """Begin a task and return its reference.

        ``description_id`` is ``Type.method``. What ``work`` returns is the result; its failure that
        of the task. ``entity`` must be a managed entity (folder, host, machine, ...), or pyVmomi
        fails; so it does if ``method`` is not a method of the API, such as ``CreateVM_Task``.
        """
        nursery = self._endpoint.nursery
        running = sum(not is_over(task.info) for task in self._tasks.values())
        if nursery is None or running >= MAX_RUNNING:
            raise InternalFault("there are too many tasks; wait until some of them end")
        number = next(self._numbers)
        key, now = f"task-{number}", self._clock()
        info = TaskInfo(
            key=key,
            task=Ref("Task", key),
            name=method,
            description_id=description_id,
            entity=entity,
            entity_name=entity_name,
            state=TaskInfoState.RUNNING,
            cancelled=False,
            cancelable=False,
            reason=TaskReasonUser(user_name=call.user),
            queue_time=now,
            start_time=now,
            event_chain_id=number,
        )
        node = None if entity is None else call.inventory.find(entity)
        place = ROOT if node is None else node.entity
        task = self._tasks[key] = RunningTask(info, call.user, place)
        self._forget_oldest()
        nursery.start_soon(self._run, task, work)
        self._endpoint.changes.notify()
        return info.task

    async def _run(self, task: RunningTask, work: Callable[[], Awaitable[Any]]) -> None:
        try:
            result = await work()
        except Fault as failure:
            self._fail(task, failure)
        except VSphereError as error:
            self._fail(task, fault_of(error, self._endpoint.ref_of))
        except Exception as defect:
            # As in a call: a defect ends this task, not the others.
            log.error("%s failed: %s", task.info.description_id, describe(defect))
            internal = InternalFault("vCenter failed; its log has the cause")
            self._fail(task, fault_of(internal, self._endpoint.ref_of))
        else:
            self._finish(task, state=TaskInfoState.SUCCESS, result=result)
        await trio.lowlevel.checkpoint()

    def _fail(self, task: RunningTask, failure: Fault) -> None:
        self._finish(task, state=TaskInfoState.ERROR, error=failure.localized())

    def _finish(self, task: RunningTask, **fields: Any) -> None:
        task.info = replace(task.info, complete_time=self._clock(), **fields)
        self._endpoint.changes.notify()

    def _forget_oldest(self) -> None:
        over = [key for key, task in self._tasks.items() if is_over(task.info)]
        for key in over[: max(0, len(over) - MAX_ENDED)]:
            del self._tasks[key]


def is_over(info: TaskInfo) -> bool:
    """Whether a task has ended, one way or the other."""
    return info.state in (TaskInfoState.SUCCESS, TaskInfoState.ERROR)
