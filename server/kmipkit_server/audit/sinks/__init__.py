"""Where records go besides the log: syslog and standard output."""
