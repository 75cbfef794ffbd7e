"""One encoder service for all processes of a machine: a Unix socket and shared memory."""
