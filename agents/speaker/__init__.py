"""EnvDrop's speaker: pure networks, losses and decoding, which put routes into words."""
