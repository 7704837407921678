"""The server as a process of the operating system."""
