"""Workers that have stopped answering: each is asked now and then, and killed if it stays silent."""

import logging

import trio

from kmipkit_server.process import wire
from kmipkit_server.process.member import Member
from kmipkit_server.process.questions import NoAnswer

log = logging.getLogger("kmipkit.server")

QUESTIONS = 5
"""Questions without an answer after which a worker is killed. A single long wait could be due to the
machine: it may have been suspended."""
SECONDS_FOR_RESTART = 300.0
"""How long a worker may take until it serves, when the server has started: what takes long, such as the
migration of a database, is over by then."""


async def watch(member: Member, seconds: float) -> None:
    """Kill a worker that serves, and has not answered for so many seconds."""
    unanswered = 0
    while unanswered < QUESTIONS:
        try:
            with trio.move_on_after(seconds / QUESTIONS) as limit:
                await member.ask(wire.ALIVE)
        except NoAnswer:
            if member.process.returncode is not None:
                return
        if limit.cancelled_caught:
            unanswered += 1
        else:
            unanswered = 0
        member.note_silence(is_silent=unanswered > 0)
        if not unanswered:
            await trio.sleep(seconds / QUESTIONS)
    _kill(member, f"has not answered for {seconds:g} seconds")


async def settled(member: Member, seconds: float) -> None:
    """Wait until a worker serves or has ended; kill it if that takes too many seconds."""
    with trio.move_on_after(seconds):
        await member.settled.wait()
        return
    _kill(member, f"does not serve {seconds:g} seconds after its start")
    await member.settled.wait()


def _kill(member: Member, why: str) -> None:
    log.error("worker %d (process %d) %s, and is killed", member.number, member.process.pid, why)
    member.kill()
