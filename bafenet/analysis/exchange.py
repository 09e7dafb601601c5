"""Feature exchange of a trained network, measured: what crosses between the two tasks, and what could.

Three questions to a trained network: could each task have read off its own features what the other sends it; what does
it lose when nothing comes; and how much would the other's answer be worth, the network's own or the true one?
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import interpolate
from tqdm import tqdm

from bafenet.datasets import DenseSIRSTDataset, SeededVisits
from bafenet.datasets.parts import loader_parts, split_names
from bafenet.errors import InputError
from bafenet.fileio import require_json_name, write_json
from bafenet.markup import cell

from ..devkit.layout import IGNORED, OTHER, SKY
from ..engine.checkpoints import find_checkpoint, load_from_local
from ..engine.network import build_network
from ..engine.options import load_config, require_head, require_settings
from ..engine.silent_logging import quiet
from ..evaluation.matching import threshold_at_recall
from ..evaluation.metric import RECALL_OF_FPPI, DenseSIRSTMetric, detection_counts, false_alarms
from ..evaluation.sky import at_centres
from ..models.bafe_head import BAFEHead, sample_at_points
from ..models.head_outputs import sky_map
from .benchmark import require_device

# So many points of either side of the horizon a frame teach and test a probe.
POINTS = 200
AS_IS = 'as it is'
SILENT = {'classification': 'nothing crosses to the classification', 'segmentation': 'nothing crosses to the sky'}
OWN_SKY, TRUE_SKY = 'scores times its own sky probability', 'boxes outside the true sky dropped'
COLUMNS = ('mAP_07', 'mAP_12', 'mAP_12_iou75', 'recall', 'FPPI_other', 'FPPI_other_recall90', 'sky_iou')


class Points(NamedTuple):
    """Points of an image: their ``features`` (n, C) by kind, and bool ``in_sky`` (n, )."""

    features: dict[str, np.ndarray]
    in_sky: np.ndarray


class SilencedExchange(nn.Module):
    """An exchange that one task sends nothing through: where its features would cross, their mean does.

    The mean is over the positions of an image. The other direction is as it was.

    Args:
        exchange: The exchange.
        receiver: ``'classification'`` or ``'segmentation'``: the task that nothing comes to.
    """

    def __init__(self, exchange: nn.Module, receiver: str) -> None:
        super().__init__()
        self.exchange = exchange
        self.receiver = receiver

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange features of classification and segmentation, (N, C, H, W) each."""
        y1, y2 = self.exchange(x1, x2)
        if self.receiver == 'classification':
            return self.exchange(x1, _mean_everywhere(x2))[0], y2
        return y1, self.exchange(_mean_everywhere(x1), x2)[1]


def _mean_everywhere(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True).expand_as(x)


def report(config: str,
           checkpoint: str,
           split_from: str = 'val',
           out: str | None = None,
           cfg_options: list[str] | None = None,
           device: str = 'cpu') -> dict:
    """Measure, print tables and, with ``out``, write the numbers as JSON.

    Args:
        config: Config file of a network with a BAFE-Head.
        checkpoint: Its weights: a file, a work dir whose best one is meant, or a shipped name.
        split_from: ``'train'``, ``'val'`` or ``'test'``: the data loader that names the split and its pipeline.
        out: JSON file.
        cfg_options: ``KEY=VALUE`` options.
        device: ``'cpu'`` or ``'cuda'``.

    Returns:
        ``readable``: by features, the balanced accuracy with which the sky is read off them (:func:`readable`);
        ``metrics``: those of ``COLUMNS`` of the network as it is, with each direction of its exchange silenced, with
        its own sky map in the scores, and with the true one; ``alarms``: false alarms outside the true sky, and the
        share that the network's own map has in the sky; what they were measured on, its ``images``; and how many were
        left out ``without_sky_map``: it is 255 (ignored) everywhere.

    Raises:
        InputError: If the config, the weights or the data are bad, or the head is another.
    """
    require_json_name(out)
    require_device(device)
    init_default_scope('mmdet')
    cfg = load_config(config, cfg_options, ['model', f'{split_from}_dataloader.dataset'])
    require_settings(cfg, config, *(f'{part.key}.ann_file' for part in loader_parts(cfg, split_from)))
    settings = cfg[f'{split_from}_dataloader'].dataset
    require_head(cfg, config, BAFEHead, 'the tool asks what the two tasks of a BAFEHead exchange')
    weights = find_checkpoint(checkpoint)
    with quiet():
        network = build_network(cfg, load_from_local(weights, map_location='cpu'), weights).to(device)
    split = split_names(cfg[f'{split_from}_dataloader'])
    results = dict(config=config, checkpoint=checkpoint, split=split, device=device,
                   **Measurement(network, DATASETS.build(SeededVisits.around(settings))).run())
    print_tables(results)
    if out:
        write_json(out, results)
    return results


class Measurement:
    """One pass over a dataset; see :func:`report`.

    Args:
        network: BAFE-Net in evaluation mode.
        dataset: Images with boxes and sky maps.
    """

    def __init__(self, network: BaseDetector, dataset: DenseSIRSTDataset | SeededVisits) -> None:
        self.network, self.dataset = network, dataset
        self.head: BAFEHead = network.bbox_head
        exchange = getattr(self.head, 'exchange', None)
        self.silenced = {} if exchange is None else {
            label: SilencedExchange(exchange, receiver) for receiver, label in SILENT.items()}
        labels = [AS_IS, *self.silenced, *([OWN_SKY] if self.head.with_seg else []), TRUE_SKY]
        self.metrics = {label: DenseSIRSTMetric() for label in labels}
        for metric in self.metrics.values():
            metric.dataset_meta = dataset.metainfo
        self.in_own_sky: list[np.ndarray] = []
        self.points: list[Points] = []
        self.unmapped = 0

    @torch.no_grad()
    def run(self) -> dict:
        """Measure; the results are described at :func:`report`."""
        rng = np.random.default_rng(0)
        for index in tqdm(range(len(self.dataset)), desc='frames', disable=None):
            batch = self.network.data_preprocessor(pseudo_collate([self.dataset[index]]), False)
            features, (sample, ) = self.network.extract_feat(batch['inputs']), batch['data_samples']
            if 'gt_sem_seg' not in sample:
                raise InputError(f'{sample.img_path}: the tool needs the sky map of every image: put '
                                 'LoadSkyAnnotations into the pipeline of the split')
            if not (sample.gt_sem_seg.sem_seg != IGNORED).any():
                self.unmapped += 1
                continue
            self.points.append(self._sample_points(features[0], sample, rng))
            self._predict(features, sample)
        found = {label: metric.compute_metrics(metric.results) for label, metric in self.metrics.items()}
        return dict(
            images=len(self.points),
            without_sky_map=self.unmapped,
            readable=readable(self.points),
            metrics={label: {key: values[key] for key in COLUMNS if key in values} for label, values in found.items()},
            alarms=self._alarms() if self.head.with_seg else None)

    def _sample_points(self, x: Tensor, sample: DetDataSample, rng: np.random.Generator) -> Points:
        """Points of the finest level, as many in the sky as outside where there are enough."""
        classification, _, segmentation = self.head.before_exchange(x)
        kinds = {'shared': x, 'classification': classification}
        if self.head.with_seg:
            kinds['segmentation'] = segmentation
        sky = in_the_input(sample.gt_sem_seg.sem_seg, sample.img_shape)
        truth = sample_at_points(sky[None], self.head.strides[0], (x.shape[-2], x.shape[-1])).flatten().cpu().numpy()
        sides = [np.flatnonzero(truth == label) for label in (OTHER, SKY)]
        chosen = np.concatenate([rng.choice(side, min(POINTS, len(side)), replace=False) for side in sides])
        return Points({kind: values[0].flatten(1)[:, chosen].T.double().cpu().numpy()
                       for kind, values in kinds.items()}, truth[chosen] == SKY)

    def _predict(self, features: tuple[Tensor, ...], sample: DetDataSample) -> None:
        """Hand what the network predicts for one image to every metric."""
        boxes, sky = self._boxes_and_sky(features, sample)
        self._count(AS_IS, sample, boxes, sky)
        in_sky = self.metrics[AS_IS].results[-1]['in_sky']
        self._count(TRUE_SKY, sample, boxes[torch.from_numpy(in_sky).to(boxes.bboxes.device)], sky)
        if sky is not None:
            own = at_centres(boxes.bboxes.cpu().numpy(), sky[0].sigmoid().cpu().numpy())
            self.in_own_sky.append(own >= 0.5)
            self._count(OWN_SKY, sample, with_scores(boxes, boxes.scores * boxes.scores.new_tensor(own)), sky)
        for label, silenced in self.silenced.items():
            self.head.exchange = silenced
            try:
                self._count(label, sample, *self._boxes_and_sky(features, sample))
            finally:
                self.head.exchange = silenced.exchange

    def _boxes_and_sky(self, features: tuple[Tensor, ...],
                       sample: DetDataSample) -> tuple[InstanceData, Tensor | None]:
        """Boxes and, where the head segments, sky logits (1, H, W) of one image."""
        (boxes, ), (sky, ), _ = self.head.predict_with_maps(features, [sample], rescale=True)
        return boxes, sky

    def _count(self, label: str, sample: DetDataSample, boxes: InstanceData, sky: Tensor | None) -> None:
        sample.pred_instances = boxes
        if sky is not None:
            sample.pred_sem_seg = sky_map(sky)
        self.metrics[label].process(None, [sample.to_dict()])

    def _alarms(self) -> dict[str, dict]:
        """False alarms outside the true sky, by the lowest score that counts."""
        metric = self.metrics[AS_IS]
        thresholds = {
            f'score {metric.fppi_score:g}': metric.fppi_score,
            f'recall {RECALL_OF_FPPI:g}': threshold_at_recall(*detection_counts(metric.results), RECALL_OF_FPPI)}
        in_own_sky = np.concatenate(self.in_own_sky)
        found = {}
        for name, threshold in thresholds.items():
            if threshold is not None:
                _, alarms = false_alarms(metric.results, threshold)
                found[name] = dict(alarms=int(alarms.sum()),
                                   in_own_sky=float(in_own_sky[alarms].mean()) if alarms.any() else None)
        return found


def in_the_input(sky: Tensor, size: tuple[int, int]) -> Tensor:
    """A sky map (1, H, W) of the original image in the network's input of another height and width."""
    return sky if sky.shape[-2:] == tuple(size) else interpolate(sky[None], size=tuple(size), mode='nearest-exact')[0]


def with_scores(boxes: InstanceData, scores: Tensor) -> InstanceData:
    """The same boxes with other scores (n, )."""
    return InstanceData(bboxes=boxes.bboxes, labels=boxes.labels, scores=scores)


def readable(points: Sequence[Points]) -> dict[str, float]:
    """How well the sky can be read off features by a linear map of them.

    A least-squares classifier is fitted to the first half of the images and tested on the second: names are sorted,
    so that the halves share one recording at most.

    Args:
        points: Of each image.

    Returns:
        By features, the mean of the shares of points in the sky and outside that are recognised.

    Raises:
        InputError: If either half lacks points on one side.
    """
    half = (len(points) + 1) // 2
    parts = points[:half], points[half:]
    sky = [np.concatenate([np.zeros(0, bool), *(image.in_sky for image in part)]) for part in parts]
    if any(len(np.unique(sides)) < 2 for sides in sky):
        raise InputError(f'the split has {len(points)} images, and half of them show no sky or nothing else: the tool '
                         'needs both in either half')
    found = {}
    for kind in points[0].features:
        fitted, tested = (np.concatenate([image.features[kind] for image in part]) for part in parts)
        weights = np.linalg.lstsq(_with_bias(fitted), np.where(sky[0], 1.0, -1.0), rcond=None)[0]
        right = (_with_bias(tested) @ weights > 0) == sky[1]
        found[kind] = float(np.mean([right[sky[1] == side].mean() for side in (False, True)]))
    return found


def _with_bias(features: np.ndarray) -> np.ndarray:
    return np.column_stack([features, np.ones(len(features))])


def print_tables(results: dict) -> None:
    """Print what :func:`report` gives."""
    console = Console()
    if results['without_sky_map']:
        console.print(f'{results["without_sky_map"]} images without a true sky map are left out, '
                      f'{results["images"]} are measured', highlight=False)
    table = Table('features before the exchange', 'sky read off them',
                  title=cell(f'{results["split"]}: balanced accuracy'))
    for kind, value in results['readable'].items():
        table.add_row(kind, f'{value:.3f}')
    console.print(table)
    table = Table('network', *COLUMNS, title='What crosses, and what could')
    for label, values in results['metrics'].items():
        table.add_row(label, *(f'{values[key]:.3f}' if key in values else '-' for key in COLUMNS))
    console.print(table)
    for name, alarms in (results['alarms'] or {}).items():
        share = '' if alarms['in_own_sky'] is None else f', {alarms["in_own_sky"]:.0%} of them in its own sky'
        console.print(f'{name}: {alarms["alarms"]} false alarms outside the true sky{share}', highlight=False)
