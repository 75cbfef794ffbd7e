"""Parts of the study of back-translation: its rows, their training, and its report."""
