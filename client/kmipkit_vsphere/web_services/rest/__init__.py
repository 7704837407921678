"""The REST API of vCenter, as far as native key providers go (shared facts §10).

``/rest/*`` wraps answers in ``{"value": …}`` and ``/api/*`` does not. A session is the same as that of
the Web Services API; its token is in the header ``vmware-api-session-id``.

==================  ==================================================================================
``answers``         JSON answers, and the one table from vCenter's errors to statuses and error types
``routing``         path and method to what serves them
``sessions``        login, logout
``providers``       native key providers, and those of a host
``backups``         the download of a backup, with its token instead of a session
==================  ==================================================================================
"""

from kmipkit_vsphere.web_services.application import OTHER_PATHS
from kmipkit_vsphere.web_services.rest import backups, providers, sessions
from kmipkit_vsphere.web_services.rest.routing import respond

__all__ = ["backups", "providers", "sessions"]

for _path in ("/api/", "/rest/", "/cryptomanager/"):
    OTHER_PATHS[_path] = respond
