"""A load generator for KMIP servers: ``kmipkit bench``.

A *mix* says which requests are sent, and how often. A *pace* says when each of them begins: after the
response before it (closed loop), or at times that do not depend on the server (open loop). A *driver*
sends them on many connections from one thread, and *measures* count what comes back. A run has several
such processes, and destroys at its end what it has created.
"""
