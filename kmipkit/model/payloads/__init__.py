"""The payloads of all operations, one small module per family, imported on first use.

A payload is one class for all versions, named after its operation: ``GetRequest``,
``GetResponse``. Fields have the names of the standard in snake case, in the plural if they may be
repeated; a field whose name differs between 1.x and 2.x has one name, mostly that of 2.x.
Operations that a server sends to a client have their classes here too. Which operation has which
classes is in :mod:`kmipkit.model.operations`.
"""
