"""Measure networks and data: error types, label assignment, box edges, exchange, complexity, speed and memory."""
