"""Pre-training of encoders on pictures and words of homes that no agent will walk."""
