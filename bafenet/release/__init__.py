"""Release a trained network: export its weights (export.py), write its model card (model_card.py)."""
