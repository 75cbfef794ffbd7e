"""Pictures for people: maps, and what goes on them."""
