"""The servers that are measured, each as a process of its own."""
