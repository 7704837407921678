"""Whose work goes next on the event loop."""
