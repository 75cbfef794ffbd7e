"""Files of weights: found, fetched, verified, and read without running anything in them."""
