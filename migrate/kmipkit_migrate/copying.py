"""Copying one object: read from the source, stored on the target, and what could not come along."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from kmipkit_client import OperationFailed

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import Attribute, Attributes, VendorName
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.objects import ManagedObject
from kmipkit.spec.enums import (
    KeyWrapType,
    ObjectType,
    ResultReason,
    RevocationReasonCode,
    State,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit_migrate import rules
from kmipkit_migrate.journal import (
    ALREADY,
    COPIED,
    LEFT_OUT,
    NOT_COPIED,
    PARTLY,
    Entry,
    Journal,
    Note,
)
from kmipkit_migrate.placeholders import placeholder
from kmipkit_migrate.server import FAILURES, Server, reason_of
from kmipkit_migrate.transit import Fetched, Transit

MARK = VendorName("x", "kmipkit-migrated-from")
"""The attribute by which a run that goes on finds what the one before has stored, on a server without
Import; it is removed in the end."""

END_TO_END, FROM_SOURCE, BY_TLS = "end to end", "from the source", "by TLS alone"
_SPENT = (ResultReason.OBJECT_ALREADY_EXISTS,)


@dataclass
class _Object:
    """An object on its way."""

    id: str
    type: ObjectType
    attributes: Attributes
    notes: list[Note] = field(default_factory=list)
    value: ManagedObject | None = None
    protection: str | None = None
    """How a key was protected on its way."""

    @property
    def state(self) -> State | None:
        """The state on the source."""
        return rules.state_of(self.attributes)

    def entry(self, outcome: str, to: str | None) -> Entry:
        """What became of it."""
        name = self.attributes.get(Tag.NAME)
        return Entry(
            self.id,
            PARTLY if outcome == COPIED and self.notes else outcome,
            to,
            title(self.type),
            "" if name is None else name.name_value,
            "" if self.state is None else title(self.state),
            self.protection,
            tuple(self.notes),
        )


@dataclass
class Copier:
    """Copies objects from one server to the other."""

    source: Server
    target: Server
    transit: Transit
    journal: Journal

    def copy(self, identifier: str) -> Entry:
        """Copy an object; what became of it is in the journal, too."""
        entry = self._copied(identifier)
        self.journal.note(entry)
        return entry

    def _copied(self, identifier: str) -> Entry:
        try:
            attributes = self.source.attributes(identifier)
            object_type = self.source.object_type(attributes)
        except (*FAILURES, ValueError, TypeError) as error:
            return Entry(identifier, NOT_COPIED, notes=(Note("the object", _why_not(error)),))
        found = _Object(identifier, object_type, attributes)
        if rules.is_wrapping_key(attributes):
            found.notes.append(Note("the object", "it is the wrapping key of a migration"))
            return found.entry(LEFT_OUT, None)
        try:
            fetched = self._fetch(found)
        except FAILURES as error:
            found.notes.append(Note("the object", _why_not(error)))
            return found.entry(NOT_COPIED, None)
        to, outcome = self._stored(found, fetched)
        return found.entry(outcome, to)

    # --- reading ---------------------------------------------------------------------------------

    def _fetch(self, found: _Object) -> Fetched | None:
        """The object; None for one that is destroyed."""
        if found.state in DESTROYED_STATES:
            return None
        fetched = self.transit.fetch(found.id)
        if isinstance(getattr(fetched.value, "key_block", None), KeyBlock):
            found.protection = FROM_SOURCE if fetched.is_wrapped else BY_TLS
        return fetched

    # --- storing ---------------------------------------------------------------------------------

    def _stored(self, found: _Object, fetched: Fetched | None) -> tuple[str | None, str]:
        """The identifier on the target, and what became of the object."""
        if fetched is None and not self.target.imports:
            found.notes.append(Note("the object", "it is destroyed: there is nothing to copy"))
            return None, NOT_COPIED
        before = self._from_before(found)
        if before is not None:
            self._complete(found, before)
            return before, COPIED
        self.journal.begin(found.id)
        try:
            if self.target.imports:
                return self._imported(found, fetched), COPIED
            assert fetched is not None  # see above
            return self._registered(found, self._in_clear(fetched)), COPIED
        except FAILURES as error:
            if isinstance(error, OperationFailed) and error.reason in _SPENT:
                found.notes.append(
                    Note("the object", "the target has an object with this identifier already")
                )
                return found.id, ALREADY
            found.notes.append(
                Note("the object", f"the target does not take it: {reason_of(error)}")
            )
            return None, NOT_COPIED

    def _from_before(self, found: _Object) -> str | None:
        """The identifier on the target, if a run that was interrupted has stored the object."""
        if found.id not in self.journal.begun:
            return None
        with suppress(*FAILURES):
            if self.target.imports:
                self.target.attributes(found.id)
                return found.id
            ids = self.target.client.locate(attributes={MARK: found.id}).ids
            return ids[0] if ids else None
        return None

    def _transferable(self, found: _Object) -> list[Attribute]:
        """The attributes that the target may have; a note for each that it cannot have."""
        result, version = [], self.target.version
        for each in found.attributes:
            if rules.is_of_the_server(each.key):
                continue
            reason = rules.unknown_to(version, each)
            if reason is None:
                result.append(Attribute(each.key, each.value))
            else:
                found.notes.append(Note(rules.name_of(each), reason))
        return result

    def _imported(self, found: _Object, fetched: Fetched | None) -> str:
        """Import an object, with all of its attributes or else with those that the target takes."""
        transferable = self._transferable(found)
        try:
            return self._import(found, fetched, transferable)
        except OperationFailed as error:
            if error.reason in _SPENT:
                raise
            core = [each for each in transferable if not self._can_come_later(each)]
            if len(core) == len(transferable):
                raise
        identifier = self._import(found, fetched, core)
        self._add(found, identifier, [each for each in transferable if self._can_come_later(each)])
        return identifier

    def _can_come_later(self, attribute: Attribute) -> bool:
        """Whether an attribute can be added to an object that is there."""
        key = attribute.key
        return key not in rules.CORE and rules.can_add(self.target.version, key)

    def _import(self, found: _Object, fetched: Fetched | None, attributes: list[Attribute]) -> str:
        import_ = self.target.client.import_
        options = {"object_type": found.type, "attributes": Attributes(tuple(attributes))}
        if fetched is None:
            return import_(found.id, value=placeholder(found.type, found.attributes), **options)  # type: ignore[arg-type]  # of the types above
        if fetched.is_wrapped and self.transit.at_target is not None:
            try:
                done = import_(
                    found.id,
                    value=self.transit.for_target(fetched.value),
                    key_wrap_type=KeyWrapType.NOT_WRAPPED,
                    **options,  # type: ignore[arg-type]  # as above
                )
            except OperationFailed as error:
                if error.reason in _SPENT:
                    raise
            else:
                found.protection = END_TO_END
                return done
        return import_(found.id, value=self._in_clear(fetched), **options)  # type: ignore[arg-type]  # as above

    def _in_clear(self, fetched: Fetched) -> ManagedObject:
        return self.transit.unwrapped(fetched.value) if fetched.is_wrapped else fetched.value

    def _registered(self, found: _Object, value: ManagedObject) -> str:
        """Register an object, with the state that operations can give it."""
        transferable = self._transferable(found)
        settable = [
            each
            for each in transferable
            if rules.can_set(self.target.version, each) and not rules.is_link(each.key)
        ]
        identifier = self._register(found, value, settable)
        self._bring_into_state(found, identifier)
        theirs = self.target.attributes(identifier)
        for each in transferable:
            is_settable = each in settable or rules.is_link(each.key)
            if is_settable or each.key in rules.STATES | rules.DATES | rules.HISTORY:
                continue
            if each.value not in theirs.all(each.key):
                found.notes.append(Note(rules.name_of(each), "only the server sets it"))
        return identifier

    def _register(self, found: _Object, value: ManagedObject, settable: list[Attribute]) -> str:
        register = self.target.client.register
        mark = Attribute(MARK, found.id)
        bare = [each for each in settable if each.key in rules.BARE]
        named = [each for each in settable if each.key in rules.BARE or each.key is Tag.NAME]
        attempts = ([*settable, mark], settable, [*named, mark], named, bare)
        for attributes in attempts:
            try:
                identifier = register(value, attributes=Attributes(tuple(attributes)))
            except FAILURES:
                if attributes is bare:
                    raise
            else:
                rest = [each for each in settable if each not in attributes]
                self._add(found, identifier, rest)
                return identifier
        raise AssertionError

    def _bring_into_state(self, found: _Object, identifier: str) -> None:
        """Give a registered object its state; the dates are then those of now."""
        client, state = self.target.client, found.state
        is_revoked = state in (State.DEACTIVATED, State.COMPROMISED)
        try:
            if state in (State.ACTIVE, State.DEACTIVATED):
                now = rules.state_of(client.get_attributes(identifier, Tag.STATE))
                if now is State.PRE_ACTIVE:
                    client.activate(identifier)
            if is_revoked:
                reason = found.attributes.get(Tag.REVOCATION_REASON)
                client.revoke(
                    identifier,
                    _code(state, reason),
                    getattr(reason, "revocation_message", None),
                    compromise_occurred=found.attributes.get(Tag.COMPROMISE_OCCURRENCE_DATE),
                )
        except FAILURES as error:
            found.notes.append(Note("State", reason_of(error)))
        for each in found.attributes:
            if is_revoked and each.key in (Tag.DEACTIVATION_DATE, Tag.COMPROMISE_DATE):
                found.notes.append(
                    Note(rules.name_of(each), "the target sets it to the time of the copy")
                )

    def _complete(self, found: _Object, identifier: str) -> None:
        """Add what an interrupted run has not added any more."""
        present = self.target.attributes(identifier)
        missing = [
            each
            for each in self._transferable(found)
            if not rules.is_link(each.key)
            and self._can_come_later(each)
            and not any(each.value == there for there in present.all(each.key))
        ]
        self._add(found, identifier, missing)
        if not self.target.imports:
            state = rules.state_of(present)
            if state != found.state:
                self._bring_into_state(found, identifier)

    def _add(self, found: _Object, identifier: str, attributes: list[Attribute]) -> None:
        """Add attributes one by one; a note for each that the target refuses."""
        for each in attributes:
            if not rules.can_add(self.target.version, each.key):
                found.notes.append(Note(rules.name_of(each), "only the server sets it"))
                continue
            try:
                self.target.client.add_attribute(identifier, each.key, each.value)
            except FAILURES as error:
                found.notes.append(Note(rules.name_of(each), reason_of(error)))

    # --- links -----------------------------------------------------------------------------------

    def link(self, entry: Entry) -> Entry:
        """Set the links of an object, once all objects have identifiers; and remove the mark."""
        assert entry.to is not None
        notes = list(entry.notes)
        if not self.target.imports:
            notes += self._links(entry)
            with suppress(*FAILURES):
                self.target.client.delete_attribute(entry.to, MARK)
        self.journal.note_links(entry.id)
        if len(notes) == len(entry.notes):
            return entry
        changed = replace(entry, notes=tuple(notes), outcome=PARTLY)
        self.journal.note(changed)
        return changed

    def _links(self, entry: Entry) -> Iterator[Note]:
        assert entry.to is not None
        known = self.journal.identifiers
        try:
            links = [each for each in self.source.attributes(entry.id) if rules.is_link(each.key)]
            present = {
                each.value for each in self.target.attributes(entry.to) if rules.is_link(each.key)
            }
        except FAILURES as error:
            yield Note("Link", reason_of(error))
            return
        for each in links:
            linked = each.value.linked_object_identifier
            if linked not in known:
                yield Note(rules.name_of(each), f"the object {linked} is not on the target")
                continue
            value = each.value.replace(linked_object_identifier=known[linked])
            if value in present:
                continue
            try:
                self.target.client.add_attribute(entry.to, each.key, value)
            except FAILURES as error:
                yield Note(rules.name_of(each), reason_of(error))


def _code(state: State | None, reason: object) -> RevocationReasonCode:
    code = getattr(reason, "revocation_reason_code", None)
    is_compromise = code in (
        RevocationReasonCode.KEY_COMPROMISE,
        RevocationReasonCode.CA_COMPROMISE,
    )
    if code is not None and is_compromise is (state is State.COMPROMISED):
        return RevocationReasonCode(code)
    if state is State.COMPROMISED:
        return RevocationReasonCode.KEY_COMPROMISE
    return RevocationReasonCode.CESSATION_OF_OPERATION


_WHY = {
    ResultReason.SENSITIVE: "it is sensitive: the source gives it out wrapped only",
    ResultReason.NOT_EXTRACTABLE: "it is not extractable: it never leaves the source",
    ResultReason.OBJECT_ARCHIVED: "it is archived: recover it on the source, and run this again",
    ResultReason.OBJECT_DESTROYED: "it is destroyed: there is nothing to copy",
}


def _why_not(error: Exception) -> str:
    """Why the source does not give an object out."""
    if isinstance(error, OperationFailed) and error.reason in _WHY:
        return _WHY[error.reason]
    text = reason_of(error) if isinstance(error, FAILURES) else str(error)
    return f"the source does not give it out: {text}"
