"""Datasets, samplers and transforms."""
from .densesirst import DenseSIRSTDataset
from .randomness import SampleIndex, seeded_draws
from .samplers import EpochSampler, NegativeSetSampler
from .seeded_visits import SeededVisits
from .sirst_seg import SIRSTSegDataset
from .transforms import BAGCopyPaste, LoadInfraredImage, LoadSkyAnnotations, LoadTargetMask, PackInfraredInputs

__all__ = [
    'BAGCopyPaste', 'DenseSIRSTDataset', 'EpochSampler', 'LoadInfraredImage', 'LoadSkyAnnotations', 'LoadTargetMask',
    'NegativeSetSampler', 'PackInfraredInputs', 'SIRSTSegDataset', 'SampleIndex', 'SeededVisits', 'seeded_draws'
]
