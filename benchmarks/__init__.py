"""Scores, leaderboards and side-by-side measurements: the numbers that people compare."""
