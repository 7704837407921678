"""The API of administrators: HTTPS on the port of KMIP, from one table of routes.

A route is a row (:mod:`.routes`): method, path, summary, who may use it, typed request and answer,
handler. Routing, checks, the audit and the OpenAPI description follow from the rows. A family of routes
is a module with its types, its handlers and its tuple ``ROUTES``, which :mod:`.table` lists.

Whoever adds a route needs nothing but that module: the handler gets a :class:`.context.Context`, which
says who asks, and for which accounts (its scope).
"""
