"""The procedural world: furnished homes, written in the field's own formats."""
