"""A run: training and testing a config.

- train.py and test.py (what the tools of these names do), prepare.py (what both share), train_variants.py (--trainval,
  --scratch), runner.py (DetectionRunner), launch.py (processes that a launcher starts)
- own_training.py and own_test.py (--data, --from, --epochs as a whole), devkit_data.py (a devkit of one's own),
  mask_data.py (frames with target masks of one's own),
  devkit_lists.py (frames that are kept back to validate on),
  fine_tune.py (the schedule, and the weights of the same network), class_layer.py (weights for other classes),
  schedule.py (a training of another length)
- hooks: checkpoint_hook.py (checkpoints written and removed), ema_hook.py (average of the weights),
  learning_rate_hook.py (the step size in the log), progress_hook.py (the progress bar),
  memory_format_hook.py (channels_last), fuse_hook.py (fused when tested),
  hard_negative_hook.py (places of false alarms in training crops),
  run_checks.py (warnings and stops: other settings, boxes off their masks, losses not finite),
  strides_hook.py (strides that the feature maps do not have), training_images.py (no test on training images)
- mixed_precision.py (training in bfloat16), precision.py (predicting in it),
  silent_logging.py (nothing but results on the standard output), console_log.py (dumps in the log file alone)
- options.py (loading a config), option_text.py (the text of ``--cfg-options``), config_changes.py (settings changed by
  dotted keys), config_paths.py (read and replaced), pipeline_steps.py (steps by their type), splits.py (``splits``)
- config_rules.py and config_values.py (which values settings may have), registered.py (what a ``type`` may name)
- checkpoints.py (which one is meant, and its weights into a network), training_state.py (what is resumed), network.py
  (a network that its weights fit); how a checkpoint is read is in bafenet/compat/

Importing registers all.
"""
from . import (
               checkpoint_hook,
               checkpoints,
               ema_hook,
               fuse_hook,
               hard_negative_hook,
               learning_rate_hook,
               memory_format_hook,
               mixed_precision,
               progress_hook,
               run_checks,
               runner,
               strides_hook,
               training_images,
)

__all__ = ['checkpoint_hook', 'checkpoints', 'ema_hook', 'fuse_hook', 'hard_negative_hook', 'learning_rate_hook',
           'memory_format_hook', 'mixed_precision', 'progress_hook', 'run_checks', 'runner', 'strides_hook',
           'training_images']
