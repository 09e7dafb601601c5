"""A run: training and testing a config.

- runner.py (DetectionRunner), launch.py (processes), hooks.py (during the run), optimizers.py (those that estimate
  their step size), quiet.py (a standard output for results alone)
- cli.py: what tools/train.py and tools/test.py do
- options.py (configs and ``--cfg-options``), option_text.py (their text), config_rules.py and config_values.py (which
  values settings may have), registered.py (what a ``type`` may name), plain_config.py (configs parsed, not executed)
- checkpoints.py (read safely, written whole), checkpoint_types.py and checkpoint_fields.py (what they may hold),
  training_state.py (what is resumed), network.py (a network that its weights fit)
- training_images.py and run_checks.py: hooks that let nothing go wrong in silence
- setting.py: a setting of a config by its path of keys

Importing registers all.
"""
from . import checkpoints, hooks, optimizers, run_checks, runner, training_images

__all__ = ['checkpoints', 'hooks', 'optimizers', 'run_checks', 'runner', 'training_images']
