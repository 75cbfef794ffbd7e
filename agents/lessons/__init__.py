"""What agents are taught, an update at a time."""
