"""Parts of the study of encoders: its rows, their training, and what is reported of them."""
