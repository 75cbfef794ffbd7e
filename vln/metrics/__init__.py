"""Path scores and their intervals, as pure functions of arrays."""
