"""The property collector: reads properties of many objects in one call, and waits for changes."""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.managed import ManagedObject, method, prop
from kmipkit_vsphere.web_services.objects.updates import Collector
from kmipkit_vsphere.web_services.objects.views import keep, new_ref
from kmipkit_vsphere.web_services.selection import read, select
from kmipkit_vsphere.web_services.sessions import Page
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.faults import NotSupported
from kmipkit_vsphere.web_services.vim25.properties import (
    ObjectContent,
    PropertyFilterSpec,
    RetrieveOptions,
    RetrieveResult,
    UpdateSet,
    WaitOptions,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_MAX_PAGES: Final = 100
"""Unfinished retrievals of one session."""


class PropertyCollector(ManagedObject, moid="propertyCollector", content="property_collector"):
    """Reads properties. Each session has its own filters, also of the collector that all share."""

    # Reading --------------------------------------------------------------------------------------

    @method("RetrievePropertiesEx", public=True)
    async def retrieve_properties_ex(
        self, call: "Call", spec_set: Sequence[PropertyFilterSpec], options: RetrieveOptions
    ) -> RetrieveResult | None:
        """The properties of all objects that the filters select, in pages if the client wants."""
        contents = await _retrieve(call, spec_set)
        if not contents:
            return None
        size = options.max_objects
        if size is not None and size < 1:
            raise InvalidArgument("maxObjects is less than 1", invalid_property="maxObjects")
        return _page(call, contents, size or len(contents))

    @method("ContinueRetrievePropertiesEx")
    async def continue_retrieve_properties_ex(self, call: "Call", token: str) -> RetrieveResult:
        """The next page."""
        page = call.present_session.pages.pop(token, None)
        if page is None:
            raise _unknown_token(token)
        return _page(call, page.contents, page.size)

    @method("CancelRetrievePropertiesEx")
    async def cancel_retrieve_properties_ex(self, call: "Call", token: str) -> None:
        """Forget the next pages."""
        if call.present_session.pages.pop(token, None) is None:
            raise _unknown_token(token)

    @method("RetrieveProperties", public=True)
    async def retrieve_properties(
        self, call: "Call", spec_set: Sequence[PropertyFilterSpec]
    ) -> Sequence[ObjectContent]:
        """As :meth:`retrieve_properties_ex`, all at once."""
        return await _retrieve(call, spec_set)

    # Collectors and filters -----------------------------------------------------------------------

    @prop("filter")
    def filters(self, call: "Call") -> Sequence[Ref]:
        """The filters of this session."""
        return self._collector(call).filter_refs()

    @method("CreatePropertyCollector")
    async def create_property_collector(self, call: "Call") -> Ref:
        """A collector with filters of its own."""
        session = call.present_session
        return keep(session, PropertyCollector(new_ref("PropertyCollector", session)))

    @method("DestroyPropertyCollector")
    async def destroy_property_collector(self, call: "Call") -> None:
        """End a collector and its filters."""
        session = call.present_session
        if session.objects.pop(self.ref, None) is None:
            raise Fault(NotSupported(), "the collector that all sessions share cannot be destroyed")
        self._collector(call).destroy()
        session.collectors.pop(self.ref, None)

    @method("CreateFilter")
    async def create_filter(
        self, call: "Call", spec: PropertyFilterSpec, partial_updates: bool
    ) -> Ref:
        """A filter, whose changes are reported by :meth:`wait_for_updates_ex`."""
        return await self._collector(call).create_filter(call, spec, partial_updates)

    @method("WaitForUpdatesEx", since="4.1", waits=True)
    async def wait_for_updates_ex(
        self, call: "Call", version: str | None, options: WaitOptions | None
    ) -> UpdateSet | None:
        """What has changed since a version; waits until something has."""
        wait = options or WaitOptions()
        return await self._collector(call).wait(
            call, version, wait.max_wait_seconds, wait.max_object_updates
        )

    @method("WaitForUpdates", waits=True)
    async def wait_for_updates(self, call: "Call", version: str | None) -> UpdateSet:
        """As :meth:`wait_for_updates_ex`, without a limit."""
        updates = await self._collector(call).wait(call, version, None, None)
        assert updates is not None, "without a limit it ends with updates only"
        return updates

    @method("CheckForUpdates")
    async def check_for_updates(self, call: "Call", version: str | None) -> UpdateSet | None:
        """What has changed since a version, without waiting."""
        return await self._collector(call).wait(call, version, 0, None)

    @method("CancelWaitForUpdates")
    async def cancel_wait_for_updates(self, call: "Call") -> None:
        """End the calls of this session that wait, with the fault ``RequestCanceled``."""
        self._collector(call).cancel()

    def _collector(self, call: "Call") -> Collector:
        collectors = call.present_session.collectors
        known = collectors.get(self.ref)
        if known is None:
            known = collectors[self.ref] = Collector(call.present_session)
        return known


async def _retrieve(call: "Call", specs: Sequence[PropertyFilterSpec]) -> list[ObjectContent]:
    return [
        content
        for spec in specs
        for content in await read(call, await select(call, spec), spec.prop_set)
    ]


def _page(call: "Call", contents: Sequence[ObjectContent], size: int) -> RetrieveResult:
    """The first objects, with a token for the others."""
    if len(contents) <= size:
        return RetrieveResult(objects=contents)
    pages = call.present_session.pages
    while len(pages) >= _MAX_PAGES:
        del pages[next(iter(pages))]
    token = secrets.token_hex(8)
    pages[token] = Page(contents[size:], size)
    return RetrieveResult(token=token, objects=contents[:size])


def _unknown_token(token: str) -> InvalidArgument:
    return InvalidArgument(f"there is no token {token}", invalid_property="token")
