"""A run: runner.py (DetectionRunner), checkpoints.py (read safely, written whole; checkpoint_types.py and
checkpoint_fields.py: what they may hold), training_state.py (what is resumed), hooks.py (during the run),
training_images.py and run_checks.py (hooks that let nothing go wrong in silence), optimizers.py (those that estimate
their step size); cli.py and options.py: the command line; quiet.py: a standard output for results alone. Importing
registers all.
"""
from . import checkpoints, hooks, optimizers, run_checks, runner, training_images

__all__ = ['checkpoints', 'hooks', 'optimizers', 'run_checks', 'runner', 'training_images']
