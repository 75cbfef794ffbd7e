"""What is said of a home: instructions and their reading, guides, captions."""
