"""Login and Logout."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.managed import ManagedObject, method, prop
from kmipkit_vsphere.web_services.sessions import Session
from kmipkit_vsphere.web_services.vim25.faults import InvalidLogin, NotFound
from kmipkit_vsphere.web_services.vim25.service import UserSession

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

DEFAULT_LOCALE = "en"
_MAX_LOCALE = 32

log = logging.getLogger("kmipkit.vsphere.web_services")


class SessionManager(ManagedObject, moid="SessionManager", content="session_manager"):
    """Sessions of users."""

    @method("Login", public=True)
    async def login(
        self, call: "Call", user_name: str, password: str, locale: str | None
    ) -> UserSession:
        """A new session, whose cookie the answer carries."""
        if call.session is not None:
            raise Fault(InvalidLogin(), "This session is logged in already; log out first.")
        if not await call.endpoint.passwords.is_correct(user_name, password, call.address):
            raise Fault(
                InvalidLogin(),
                "Cannot complete login due to an incorrect user name or password.",
            )
        call.cookie, session = call.endpoint.sessions.begin(
            user_name, call.address, call.user_agent, (locale or DEFAULT_LOCALE)[:_MAX_LOCALE]
        )
        log.info("%s logged in from %s", user_name, call.address)
        return described(session)

    @method("Logout")
    async def logout(self, call: "Call") -> None:
        """End this session."""
        call.endpoint.sessions.end(call.present_session.key)

    @method("TerminateSession")
    async def terminate_session(self, call: "Call", session_id: Sequence[str]) -> None:
        """End other sessions."""
        call.require(Privilege.TERMINATE_SESSION, self.entity)
        for key in session_id:
            if not call.endpoint.sessions.end(key):
                raise Fault(NotFound(), f"there is no session {key}")

    @prop(public=True)
    def current_session(self, call: "Call") -> UserSession | None:
        """The session of the caller; not set without one, which is how clients find out."""
        return described(call.session) if call.session is not None else None

    @prop()
    def session_list(self, call: "Call") -> Sequence[UserSession]:
        """All sessions, for those who may end them; for others only their own."""
        sessions = call.endpoint.sessions.all()
        if not call.has(Privilege.TERMINATE_SESSION, self.entity):
            sessions = [session for session in sessions if session.user == call.user]
        return [described(session) for session in sessions]

    @prop()
    def default_locale(self, _call: "Call") -> str:
        """The locale of the server's messages."""
        return DEFAULT_LOCALE

    @prop()
    def message_locale_list(self, _call: "Call") -> Sequence[str]:
        """The locales in which there are messages."""
        return [DEFAULT_LOCALE]

    @prop()
    def supported_locale_list(self, _call: "Call") -> Sequence[str]:
        """The locales that a session can have."""
        return [DEFAULT_LOCALE]


def described(session: Session) -> UserSession:
    """A session as the API shows it; its key is not the token of the cookie."""
    return UserSession(
        key=session.key,
        user_name=session.user,
        full_name=session.user,
        login_time=session.login_time,
        last_active_time=session.last_active,
        locale=session.locale,
        message_locale=DEFAULT_LOCALE,
        extension_session=False,
        ip_address=session.address,
        user_agent=session.user_agent,
        call_count=session.call_count,
    )
