"""One file per encoder: a column to a block of a matrix, and back."""
