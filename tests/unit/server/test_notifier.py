"""What keeps notifications from being delivered never ends the server."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from kmipkit_server.config import ConfigError
from kmipkit_server.net.notifier import Notifier

from kmipkit.errors import KMIPError
from kmipkit.ttlv.limits import Limits


class Queue:
    """One notification for one account."""

    on_new: Callable[[str], None]

    def take(self, _account: str) -> list[Any]:
        return ["a notification"]


@pytest.mark.parametrize(
    "failure", [ConfigError("the certificate"), KMIPError("?"), OSError(13, "x")]
)
def test_delivery_is_tried_again_after_every_failure(failure: Exception) -> None:
    attempts: list[float] = []

    def context() -> Any:
        attempts.append(trio.current_time())
        raise failure

    async def test() -> None:
        queue = Queue()
        notifier = Notifier(
            queue=queue,  # type: ignore[arg-type]
            message=None,  # type: ignore[arg-type]
            addresses={"ada": ("127.0.0.1", 1)},
            context=context,
            revocations=None,  # type: ignore[arg-type]
            limits=Limits(),
        )
        with trio.move_on_after(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(notifier.run)
                await trio.testing.wait_all_tasks_blocked()
                queue.on_new("ada")
                await trio.sleep_forever()

    trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))
    pauses = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert pauses[:4] == [1, 2, 4, 8]
