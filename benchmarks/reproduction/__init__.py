"""Published numbers, and how agents of ours or theirs compare with them."""
