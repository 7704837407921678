"""The conformance tester: plays test cases against any KMIP server and says what is wrong.

Cases are files in the KMIP XML encoding as OASIS publishes them: requests, and the responses that are
expected, with placeholders for what the server chooses. Which differences are permitted is written
in KMIP Profiles 2.1 §4.1; the rules are in :mod:`kmipkit_conformance.compare`.
"""
