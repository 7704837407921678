"""The payloads of all operations, one small module per family, imported on first use.

A payload is one class for all versions, named after its operation: ``GetRequest``,
``GetResponse``. Fields have the names of the standard in snake case, in the plural if they may be
repeated. If 1.x and 2.x have different names for a field, it usually has that of 2.x. Operations that
a server sends to a client have their classes here, too. :mod:`kmipkit.model.operations` has the
classes of each operation.
"""
