"""The test mode: a time that a test moves, faults on demand, and a list of what was asked.

None of it is part of another server: :mod:`kmipkit_server.app` gets a :class:`.control.Control` from
those who start a server for a test, and no setting can make one.
"""
