"""The rules of the product: pure functions on values, the standard library only."""
