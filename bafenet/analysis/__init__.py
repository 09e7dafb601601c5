"""What is measured about networks and data: speed, cost, label assignment."""
