"""The EnvDrop follower: networks, losses, and the agent made of them."""
