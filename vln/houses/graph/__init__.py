"""Where one can stand and walk in a home, and what is in sight from there."""
