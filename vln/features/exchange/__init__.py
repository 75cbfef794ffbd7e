"""Feature files that the field exchanges: read into the store, written from it, streaming."""
