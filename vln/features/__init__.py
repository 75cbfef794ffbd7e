"""Features by name: the store and what agents gather from."""
