"""Datasets, samplers and transforms."""
from .densesirst import DenseSIRSTDataset
from .randomness import SampleIndex, seeded_draws
from .samplers import EpochSampler
from .seeded_visits import SeededVisits
from .transforms import BAGCopyPaste, LoadInfraredImage, LoadSkyAnnotations, PackInfraredInputs

__all__ = [
    'BAGCopyPaste', 'DenseSIRSTDataset', 'EpochSampler', 'LoadInfraredImage', 'LoadSkyAnnotations',
    'PackInfraredInputs', 'SampleIndex', 'SeededVisits', 'seeded_draws'
]
