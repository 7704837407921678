"""Sockets, TLS, HTTP, and the connections that the server opens itself."""
