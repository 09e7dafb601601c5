# SIRST-5K's synthesis on the fly, drawn in the shares of its set of 4998 frames: 663 as they are, 663 with noise, 3672
# negatives made of these. Steps of a pipeline, behind those that load.
as_it_is = []
noise = dict(type='NoiseDisplacement', alpha=0.1)
# Noise alone: every other visit.
synthesis = dict(type='RandomChoice', transforms=[as_it_is, [noise]], prob=[0.5, 0.5])
with_negatives = dict(
    synthesis,
    transforms=[as_it_is, [noise, dict(type='NegativeAugmentation', size=3, prob=3672 / 4335)]],
    prob=[663 / 4998, 4335 / 4998])
# In sets of five, of which four are negatives.
negatives_in_sets = dict(
    with_negatives, transforms=[as_it_is, [noise, dict(type='NegativeAugmentation', size=3, prob=1.0)]])
