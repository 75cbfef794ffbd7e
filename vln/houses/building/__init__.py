"""What a home is: rooms, openings, stairs, objects; how one is made up from a seed."""
