"""Clients judged by the rules of the standard: from a session with the tester, or from a capture.

A session (:mod:`observed`) is what a client did: its connections, requests and the answers to them. A
rule (:mod:`rule`) looks at a session and says where it was kept and where it was broken. The tables of
rules are in :mod:`message_rules`, :mod:`content_rules`, :mod:`order_rules`, :mod:`transport_rules` and
:mod:`reaction_rules`; :mod:`table` has them all.
"""
