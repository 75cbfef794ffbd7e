"""Panoramas: files -> six faces -> any view."""
