"""Merges layers that no snapshot needs any more into the layers below them.

When a snapshot is removed, the layer that it kept from changing has only the next one on top of it. What
the upper one holds is copied into the lower one; then whatever stands on the upper one is put on the
lower one, and the upper one is deleted. The layer being merged is noted in the ``.vmx`` before, so that
after a crash the whole is repeated, which changes nothing that has been done. Until then the disk needs
consolidation, but reads as it always did: what the upper layer holds hides what is below it.
"""

import contextlib
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from kmipkit_vsphere.host.layers import Chain, Delta, Layer, open_chain, set_parent
from kmipkit_vsphere.host.machine import Machine
from kmipkit_vsphere.host.volume import Keys
from kmipkit_vsphere.model.errors import InvalidState


class Merge(NamedTuple):
    """A layer that can be merged into the one below it; ``chain`` begins with it."""

    chain: Chain

    @property
    def upper(self) -> Layer:
        """The layer that goes."""
        return self.chain[0]

    @property
    def lower(self) -> Layer:
        """The layer that stays."""
        return self.chain[1]


def next_merge(machine: Machine, pinned: Collection[str] = ()) -> Merge | None:
    """What can be merged now; ``pinned`` are the layers on which linked clones stand."""
    in_use = {chain[0].file for chain in (*machine.chains.values(), *machine.frozen.values())}
    tails = _tails(machine)
    above: dict[str, set[str]] = {}
    for upper in tails.values():
        if len(upper) > 1:
            above.setdefault(upper[1].file, set()).add(upper[0].file)
    for chain in tails.values():
        if len(chain) < 2 or not machine.has(chain[1]):
            continue
        merge = Merge(chain)
        if merge.lower.file in in_use or len(above[merge.lower.file]) > 1:
            continue
        if merge.lower.file not in pinned and merge.upper.file not in pinned:
            return merge
    return None


def consolidate(machine: Machine, keys: Keys, pinned: Collection[str]) -> Machine:
    """Merge all that can be merged; returns the machine as it is then."""
    machine = _complete_interrupted(machine, keys)
    while (merge := next_merge(machine, pinned)) is not None:
        machine = _merge(machine, merge, keys)
    return machine


def is_needed(machine: Machine, pinned: Collection[str]) -> bool:
    """Whether there is something to merge, or a merge was interrupted."""
    return machine.snapshots.merging is not None or next_merge(machine, pinned) is not None


def _tails(machine: Machine) -> dict[str, Chain]:
    """Each layer of the machine, with those below it."""
    return {
        layer.file: chain[position:]
        for chain in (*machine.chains.values(), *machine.frozen.values())
        for position, layer in enumerate(chain)
        if machine.has(layer)
    }


def _merge(machine: Machine, merge: Merge, keys: Keys) -> Machine:
    note = (merge.upper.file, merge.lower.file)
    machine.save(replace(machine.snapshots, merging=note))
    with contextlib.ExitStack() as cleanup:
        upper = open_chain(merge.chain, keys)
        cleanup.callback(upper.close)
        lower = open_chain(merge.chain[1:], keys)
        cleanup.callback(lower.close)
        assert isinstance(upper, Delta)
        for offset, length in upper.grains():
            lower.write_at(offset, upper.read_at(offset, length))
        lower.flush()
    return _replace(machine, *note, merge.upper.files)


def _replace(machine: Machine, upper: str, lower: str, files: tuple[str, ...]) -> Machine:
    """Put what stands on the upper layer on the lower one, and delete the upper one."""
    for layer in machine.own_layers():
        if layer.parent == upper:
            set_parent(layer, lower)
    snapshots = replace(machine.snapshots.renaming_layer(upper, lower), merging=None)
    disks = {
        number: lower if chain[0].file == upper else chain[0].file
        for number, chain in machine.chains.items()
    }
    machine.save(replace(snapshots, unused=(*snapshots.unused, *files)), disks)
    Machine.load(machine.folder).delete_unused()
    return Machine.load(machine.folder)


def _complete_interrupted(machine: Machine, keys: Keys) -> Machine:
    noted = machine.snapshots.merging
    if noted is None:
        return machine
    chain = _tails(machine).get(noted[0])
    if chain is None:
        # All that stood on it was put on the lower one, which happens only after the copy; or a
        # state that needed it is gone.
        files = (noted[0], noted[0].removesuffix(".vmdk") + "-delta.vmdk")
        return _replace(machine, *noted, files)
    if len(chain) < 2 or chain[1].file != noted[1]:
        raise InvalidState(
            f"{machine.name}: {noted[0]} should be merged into {noted[1]}, but does not stand on it"
        )
    return _merge(machine, Merge(chain), keys)
