"""Visual question answering and visual entailment: not built yet."""
