"""The servers for comparison; each runs as a separate process."""
