"""The one encoder service: a batching core that all clients share, with no transport in it."""
