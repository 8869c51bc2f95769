"""Checking the books: every invariant recomputed from the items themselves."""
