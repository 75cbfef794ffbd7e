"""The encoder service across machines, through Ray; needs the extra `[ray]`."""
