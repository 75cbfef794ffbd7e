"""Whole worlds of homes on disk, and twins of homes that differ in one thing."""
