"""What a home looks like: the solids of its walls, stairs and furniture."""
