"""Tasks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from kmipkit_vsphere.web_services.vim25.basics import (
    KeyAnyValue,
    LocalizableMessage,
    LocalizedMethodFault,
)
from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Ref, Since, VimEnum


class TaskInfoState(VimEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"


class TaskReason(DataObject):
    """Why a task runs."""


class TaskReasonSystem(TaskReason):
    """The server began it by itself."""


class TaskReasonUser(TaskReason):
    """A user asked for it."""

    user_name: str


class TaskInfo(DataObject):
    """The state of a task."""

    key: str
    task: Ref
    description: LocalizableMessage | None = None
    name: str | None = None
    description_id: str
    entity: Ref | None = None
    entity_name: str | None = None
    locked: Sequence[Ref] = ()
    state: TaskInfoState
    cancelled: bool
    cancelable: bool
    error: LocalizedMethodFault | None = None
    result: Any | None = None
    progress: int | None = None
    progress_details: Annotated[Sequence[KeyAnyValue], Since("8.0.1.0")] = ()
    reason: TaskReason
    queue_time: datetime
    start_time: datetime | None = None
    complete_time: datetime | None = None
    event_chain_id: int
    change_tag: str | None = None
    parent_task_key: str | None = None
    root_task_key: str | None = None
    activation_id: str | None = None
