"""Scores of predictions against the truth, one module a task."""
