"""Processes that work for others: they die with the one they work for, and are kept running by it."""
