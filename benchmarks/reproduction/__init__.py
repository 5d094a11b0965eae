"""The published set-ups for forgetting tasks, repeated as published."""
