"""Text to values and back, by marshmallow."""
