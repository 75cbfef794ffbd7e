"""Beam search: routes that a follower finds likely, re-ranked by what a speaker would say."""
