"""Computations that take long: they leave the batch, and run before its transaction.

A handler asks its call for the result of a pure function. If that is expensive, the run of the batch
ends (:class:`ComputationNeeded`), the dispatcher has the function computed outside any transaction,
and the batch runs again, which then has the result. So no computation stops the event loop or holds
the writer, whatever the operation. The results of one message are its own, and each is used once and
in order, since a result may be random, such as a new key.

All runs of a message must ask for the same, or the batch would never have all results. So what is random
in one run is the same in the others: bytes (:meth:`Computing.draw`) and what is computed in place.
"""

import logging
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import trio

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason
from kmipkit_server.engine.multipart import Computation
from kmipkit_server.store.counters import PoolFigures
from kmipkit_server.store.places import Places

log = logging.getLogger("kmipkit.server")

_Result = TypeVar("_Result")

MAX_IN_PLACE = 2.0
"""Milliseconds that a function may take where it is called."""


class Task(NamedTuple):
    """A pure function of a module, and its arguments; all of them can be pickled."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"Task({self.function.__qualname__})"  # the arguments may be keys


class ComputationNeeded(Exception):
    """A batch needs the result of a task: the batch runs again when there is one."""

    def __init__(self, task: Task, results: "Results") -> None:
        super().__init__(str(task))
        self.task = task
        self.results = results
        """The results of the message so far, for its next run."""


class Outcome(NamedTuple):
    """How a computation has ended; it can be pickled."""

    result: Any = None
    refusal: tuple[ResultReason, str, str | None] | None = None
    """Reason, message and limit of the OperationError that the function raised."""
    defect: str = ""
    """What went wrong, without the values of any key."""


def execute(task: Task) -> Outcome:
    """Compute a task."""
    try:
        return Outcome(task.function(*task.arguments))
    except OperationError as error:
        return Outcome(refusal=(error.reason, error.message, error.limit))
    except Exception as error:
        # Only a defect of the server gets here, so any exception is caught. Its text and traceback
        # may contain keys, and would travel between processes: only its type and place do.
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        place = f"{frame.f_code.co_filename}:{line}"
        return Outcome(defect=f"{type(error).__name__} at {place}")


class Executor(Protocol):
    """Computes tasks away from the event loop."""

    async def run(self, task: Task) -> Outcome:
        """What :func:`execute` returns. A cancellation ends the computation at once."""


class ThreadExecutor:
    """Computes in threads of this process: for servers within another program, and for tests.

    A thread cannot be ended: after a cancellation, the task is abandoned, and its result discarded.
    """

    async def run(self, task: Task) -> Outcome:
        """See :class:`Executor`."""
        return await trio.to_thread.run_sync(execute, task, abandon_on_cancel=True)


@dataclass(slots=True)
class Results:
    """The results of the tasks of one message, for all of its runs."""

    deadline: float | None = None
    """The time at which the tasks of the message must be done; set when the first one begins."""
    outcomes: list[tuple[Task, Outcome]] = field(default_factory=list)
    draws: list[bytes] = field(default_factory=list)
    """Random bytes that a run has used, in their order."""
    resumed: dict[bytes, Computation] = field(default_factory=dict)
    """Operations in several parts that a run has resumed, as they were before."""


class Computing:
    """What one run of a message computes; it uses each result of the message once."""

    __slots__ = ("_drawn", "_results", "_used", "is_repeatable")

    def __init__(self, results: Results) -> None:
        self._results = results
        self._used: set[int] = set()
        self._drawn = 0
        self.is_repeatable = True
        """Whether the batch may run again: it has changed nothing that cannot be undone."""

    def compute(self, function: Callable[..., _Result], *arguments: Any, cost: float) -> _Result:
        """See :meth:`kmipkit_server.engine.call.Call.compute`."""
        if cost <= MAX_IN_PLACE:
            return self.remember(function, *arguments)
        task = Task(function, arguments)
        outcome = self._next(task)
        if outcome is not None:
            if outcome.refusal is not None:
                raise OperationError(*outcome.refusal)
            result: _Result = outcome.result
            return result
        if not self.is_repeatable:
            raise OperationError(
                ResultReason.FEATURE_NOT_SUPPORTED,
                "an operation that takes long cannot follow one of several parts in the same"
                " message; send it in a message of its own",
            )
        raise ComputationNeeded(task, self._results)

    def remember(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """See :meth:`kmipkit_server.engine.call.Call.remember`."""
        return self.repeat(Task(function, arguments), lambda: function(*arguments))

    def repeat(self, task: Task, function: Callable[[], _Result]) -> _Result:
        """The result of a function that this run calls in place; later runs have the same."""
        outcome = self._next(task)
        if outcome is None:
            outcome = Outcome(function())
            self._used.add(len(self._results.outcomes))
            self._results.outcomes.append((task, outcome))
        result: _Result = outcome.result
        return result

    def draw(self, random: Callable[[int], bytes], count: int) -> bytes:
        """Random bytes; a later run that draws as many at the same place gets the same."""
        draws, place = self._results.draws, self._drawn
        self._drawn += 1
        if place == len(draws) or len(draws[place]) != count:
            # Another run than before, since the store has changed meanwhile: nothing has to agree.
            draws[place:] = [random(count)]
        return draws[place]

    def _next(self, task: Task) -> Outcome | None:
        """The first outcome of the task that this run has not used."""
        for number, (known, outcome) in enumerate(self._results.outcomes):
            if number not in self._used and known == task:
                self._used.add(number)
                return outcome
        return None

    def resumes(self, value: bytes, computation: Computation) -> None:
        """Note that the run continues an operation in several parts."""
        copy = computation.copy()
        if copy is None:
            self.is_repeatable = False
        else:
            self._results.resumed[value] = copy


class Shares(Protocol):
    """Places for tasks, shared among accounts and tenants, as :class:`.Places` has them."""

    def resize(self, places: int) -> None:
        """Change the number of places."""

    @property
    def figures(self) -> PoolFigures:
        """How many places are used, and how many tasks wait."""

    def take(self, account: str, most: int | None = None) -> AbstractAsyncContextManager[None]:
        """A place for a task of an account; waits for one."""


@dataclass(slots=True)
class Computer:
    """Computes the tasks of all messages."""

    executor: Executor = field(default_factory=ThreadExecutor)
    places: int = 2
    """Tasks at the same time."""
    seconds: float = 60.0
    """How long the tasks of one message may take in all, with their waiting for a place."""
    _places: Shares = field(init=False)

    def __post_init__(self) -> None:
        self._places = Places(self.places)

    def share(self, places: Shares) -> None:
        """Use the places that several processes have in common."""
        self._places = places
        self._places.resize(self.places)

    def change_limits(self, places: int, seconds: float) -> None:
        """Apply other limits to the tasks that follow."""
        self.places, self.seconds = places, seconds
        self._places.resize(places)

    @property
    def figures(self) -> PoolFigures:
        """How many tasks are computed, and how many wait."""
        return self._places.figures

    async def carry_out(
        self, task: Task, account: str, results: Results, most: int | None = None
    ) -> None:
        """Compute a task, and add its outcome; ``most`` is for the tenant, see :class:`.Places`."""
        if results.deadline is None:
            results.deadline = trio.current_time() + self.seconds
        outcome = None
        with trio.move_on_at(results.deadline):
            async with self._places.take(account, most):
                outcome = await self.executor.run(task)
        if outcome is None:
            text = (
                f"the computations of the message took more than {self.seconds:g} seconds; try"
                " again later, or ask for less"
            )
            refusal = (ResultReason.SERVER_LIMIT_EXCEEDED, text, "computation_timeout")
            outcome = Outcome(refusal=refusal)
        if outcome.defect:
            log.error("%s: internal error in %r: %s", account, task, outcome.defect)
            outcome = Outcome(refusal=(ResultReason.INTERNAL_SERVER_ERROR, "internal error", None))
        results.outcomes.append((task, outcome))
