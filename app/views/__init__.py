"""Pages and JSON: each view reads input, calls one service, answers."""
