"""The download of a backup: the token that the export gave is all that it needs, once."""

from urllib.parse import quote

from kmipkit_vsphere.model.errors import NoPermission
from kmipkit_vsphere.web_services.application import HTTPResponse
from kmipkit_vsphere.web_services.rest.answers import NoSession
from kmipkit_vsphere.web_services.rest.routing import RESTCall, route

PATH = "/cryptomanager/kms/{name}"


@route("GET", PATH, public=True)
@route("POST", PATH, public=True)
async def download(call: RESTCall) -> HTTPResponse:
    """The PKCS#12 file; afterwards the provider counts as backed up."""
    scheme, _, token = call.http.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NoSession
    try:
        name, content = await call.endpoint.vcenter.natives.download(token.strip())
    except NoPermission:
        raise NoSession from None
    plain = "".join(
        letter if letter.isascii() and letter.isalnum() else "_" for letter in name[:-4]
    )
    disposition = f"attachment; filename={plain}.p12; filename*=UTF-8''{quote(name, safe='')}"
    headers = (("content-disposition", disposition),)
    return HTTPResponse(200, content, "application/x-pkcs12", headers)
