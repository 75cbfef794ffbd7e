"""Agents that others trained, read from the files they publish."""
