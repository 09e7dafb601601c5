"""Label assignment: which point of the feature maps learns which target; assigners with mmdet's interface.

Points are (x, y), boxes (x1, y1, x2, y2), both in pixels of the network's input.
"""
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import bbox2distance
from mmengine.structures import InstanceData
from torch import Tensor

from bafenet.arguments import require_choice, require_number, require_whole


class PointAssigner(BaseAssigner):
    """Base of the assigners that know points and targets only, and no predictions."""

    def assign(self,
               pred_instances: InstanceData,
               gt_instances: InstanceData,
               gt_instances_ignore: InstanceData | None = None,
               **kwargs: Any) -> AssignResult:
        """Assign the points of one image.

        Args:
            pred_instances: The P points: ``priors`` float (P, 4), x, y and twice the stride; ``regress_ranges`` float
                (P, 2), the sizes in pixels that the point's level is for.
            gt_instances: The targets, at least one: ``bboxes`` float (G, 4), ``labels`` int64 (G, ).
            gt_instances_ignore: Not read.
            **kwargs: Not read.

        Returns:
            Its ``gt_inds``, int64 (P, ), is 1 + the target that a point learns, 0 for none.
        """
        owners = self.find_owners(pred_instances, gt_instances.bboxes)
        return AssignResult(len(gt_instances), owners + 1, max_overlaps=None, labels=None)

    def find_owners(self, points: InstanceData, boxes: Tensor) -> Tensor:
        """The target that each point learns, int64 (P, ), -1 for none; for the arguments see :meth:`assign`."""
        raise NotImplementedError


@TASK_UTILS.register_module()
class InsideAssigner(PointAssigner):
    """A point learns the smallest target that holds it and whose size is its level's: FCOS's rule, and the paper's.

    The size is the largest of the distances from the point to the four sides.

    Args:
        center_radius: The point must also lie less than this many strides from the centre, along each axis; None: it
            need not (FCOS's ``center_sample_radius``).

    Raises:
        InputError: If ``center_radius`` is no number above 0.
    """

    def __init__(self, center_radius: float | None = None) -> None:
        if center_radius is not None:
            require_number(f'{type(self).__name__}: center_radius', center_radius, 0, above=True, unit='strides')
        self.center_radius = center_radius

    def find_owners(self, points: InstanceData, boxes: Tensor) -> Tensor:
        """See :class:`PointAssigner`."""
        by_area = box_areas(boxes).argsort(stable=True)
        boxes = boxes[by_area]
        x, y, stride, _ = points.priors.unbind(dim=1)
        x1, y1, x2, y2 = boxes[:, :, None].unbind(dim=1)
        # Few of all pairs hold, so that only these are looked at further.
        rank, point = ((x > x1) & (x < x2) & (y > y1) & (y < y2)).nonzero().unbind(dim=1)
        size = bbox2distance(points.priors[point, :2], boxes[rank]).amax(dim=1)
        low, high = points.regress_ranges[point].unbind(dim=1)
        fits = (low <= size) & (size <= high)
        if self.center_radius is not None:
            offset = (points.priors[point, :2] - box_centres(boxes)[rank]).abs().amax(dim=1)
            fits &= offset < self.center_radius * stride[point]
        rank, point = rank[fits], point[fits]
        smallest = rank.new_full((len(x), ), len(boxes)).scatter_reduce(0, point, rank, 'amin')
        return F.pad(by_area, (0, 1), value=-1)[smallest]


@TASK_UTILS.register_module()
class NearestAssigner(InsideAssigner):
    """A target that :class:`InsideAssigner` gives too few points also gets those nearest to its centre, if free.

    It looks for them on the level whose range holds its longer side. A contested point goes to the target to which it
    is nearest in rank (first to those that have no nearer one), then to the smaller box, then to the nearer centre.

    Args:
        topk: Number of points below which a target gets its ``topk`` nearest.
        **kwargs: The arguments of :class:`InsideAssigner`.

    Raises:
        InputError: If ``topk`` is no number of points.
    """

    def __init__(self, topk: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_whole(type(self).__name__, topk=topk)
        self.topk = topk

    def find_owners(self, points: InstanceData, boxes: Tensor) -> Tensor:
        """See :class:`PointAssigner`."""
        owners = super().find_owners(points, boxes)
        wanting = (torch.bincount(owners[owners >= 0], minlength=len(boxes)) < self.topk).nonzero().squeeze(1)
        boxes = boxes[wanting]
        x, y = offsets(points, boxes)
        distances = x.square() + y.square()
        distances = distances.where(on_level(points.regress_ranges, boxes), torch.inf)
        # To a hundredth of a pixel: the rounding of a resize must not decide between targets of one size.
        areas = (box_areas(boxes) * 100).round()
        claims = claim_points(distances, owners < 0, self.topk, areas)
        won = claims >= 0
        owners[won] = wanting[claims[won]]
        return owners


@TASK_UTILS.register_module()
class ReceptiveFieldAssigner(PointAssigner):
    """A target learns from the points whose receptive fields are most like it (RFLA, Xu et al., ECCV 2022).

    A point at p is the Gaussian N(p, r² I), r its effective receptive radius; a box with centre c and size (w, h) is
    N(c, diag(a², b²)), a = w / 2, b = h / 2. With (x, y) = p − c they are apart by

        kl: ½ (r² / a² + r² / b² + x² / a² + y² / b²) − 1 + ln(a b / r²), the divergence of the point from the box;
        wasserstein: x² + y² + (r − a)² + (r − b)², the squared 2-Wasserstein distance.

    Each target gets its ``topk`` least distant points of all levels. A contested point goes to the target to which it
    is nearest in rank, then to the less distant: so that crowded targets get one each before any gets a second, which
    the paper's second stage is for. On a single level r only decides who wins contested points.

    Args:
        topk: Number of points that a target gets, as far as they are free; 3 in the paper.
        radius: r in strides. The paper takes half of the theoretical receptive field, which here would prefer the
            largest target; with 1 a point is most like a target of two strides.
        distance: ``'kl'``, the best one in the paper, or ``'wasserstein'``.

    Raises:
        InputError: If a value is not one of these.
    """

    def __init__(self, topk: int = 3, radius: float = 1.0, distance: str = 'kl') -> None:
        measures = dict(kl=kl_divergence, wasserstein=squared_wasserstein)
        require_choice('ReceptiveFieldAssigner', tuple(measures), distance=distance)
        require_number('ReceptiveFieldAssigner: radius', radius, 0, above=True, unit='strides')
        require_whole('ReceptiveFieldAssigner', topk=topk)
        self.topk = topk
        self.radius = radius
        self.measure = measures[distance]

    def find_owners(self, points: InstanceData, boxes: Tensor) -> Tensor:
        """See :class:`PointAssigner`."""
        radii = self.radius * points.priors[:, 2]
        # The Gaussians' axes are independent, so that these distances are the sums over them.
        deviations = (box_sizes(boxes) / 2)[:, :, None].unbind(dim=1)
        along_x, along_y = map(self.measure, offsets(points, boxes), (radii, radii), deviations)
        distances = along_x + along_y
        return claim_points(distances, torch.ones_like(radii, dtype=torch.bool), self.topk, boxes.new_zeros(len(boxes)))


@TASK_UTILS.register_module()
class AnchorReceptiveFieldAssigner(ReceptiveFieldAssigner):
    """:class:`ReceptiveFieldAssigner` for heads of anchors, as of a proposal network with one square at each place.

    An anchor's Gaussian lies at its centre, and its radius is ``radius`` times half of its width. Anchors that no
    target claims are negative, as in the paper; an image may have no target.

    Args:
        topk: As of the parent.
        radius: r in halves of an anchor's width.
        distance: As of the parent.

    Raises:
        InputError: If a value is not one of these.
    """

    def assign(self, pred_instances: InstanceData, gt_instances: InstanceData, *args: Any, **kwargs: Any
               ) -> AssignResult:
        """Assign the anchors of one image, ``priors`` float (P, 4), x1, y1, x2, y2; see :class:`PointAssigner`.

        Returns:
            Its ``labels``, int64 (P, ), are the classes of the targets, -1 where there is none.
        """
        result = super().assign(pred_instances, gt_instances, *args, **kwargs)
        result.labels = F.pad(gt_instances.labels, (1, 0), value=-1)[result.gt_inds]
        return result

    def find_owners(self, points: InstanceData, boxes: Tensor) -> Tensor:
        """The target that each anchor learns, int64 (P, ), -1 for none.

        Args:
            points: The anchors: ``priors`` float (P, 4), x1, y1, x2, y2.
            boxes: The targets (G, 4).
        """
        sizes = box_sizes(points.priors)
        centred = torch.cat((box_centres(points.priors), sizes / 2), dim=1)
        return super().find_owners(InstanceData(priors=centred), boxes)


def box_sizes(boxes: Tensor) -> Tensor:
    """Widths and heights (G, 2)."""
    return boxes[:, 2:] - boxes[:, :2]


def box_areas(boxes: Tensor) -> Tensor:
    """Areas (G, )."""
    return box_sizes(boxes).prod(dim=1)


def box_centres(boxes: Tensor) -> Tensor:
    """Centres (G, 2)."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def offsets(points: InstanceData, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """From the boxes' centres to the points, along x and y, (G, P) each."""
    centres = box_centres(boxes)
    return points.priors[:, 0] - centres[:, :1], points.priors[:, 1] - centres[:, 1:]


def kl_divergence(offset: Tensor, radius: Tensor, deviation: Tensor) -> Tensor:
    """Divergence of points' Gaussians from boxes' along one axis; see :class:`ReceptiveFieldAssigner`.

    Args:
        offset: From the box's centre to the point, (G, P).
        radius: Standard deviation of each point's Gaussian, (P, ).
        deviation: That of each box's, (G, 1).

    Returns:
        (G, P).
    """
    return ((offset.square() + radius.square()) / deviation.square() - 1) / 2 + deviation.log() - radius.log()


def squared_wasserstein(offset: Tensor, radius: Tensor, deviation: Tensor) -> Tensor:
    """Squared 2-Wasserstein distance along one axis; arguments and result as in :func:`kl_divergence`."""
    return offset.square() + (radius - deviation).square()


def on_level(regress_ranges: Tensor, boxes: Tensor) -> Tensor:
    """Points of the level that each target's size belongs to.

    Args:
        regress_ranges: (low, high) of each point's level, float (P, 2); each level starts where another ends.
        boxes: (G, 4).

    Returns:
        bool (G, P): the longer side is above ``low`` and at most ``high``; sides beyond all ranges are the last's.
    """
    low, high = regress_ranges.unbind(dim=1)
    sides = box_sizes(boxes).amax(dim=1, keepdim=True).clamp(max=high.max())
    return (low < sides) & (sides <= high)


def claim_points(distances: Tensor, free: Tensor, topk: int, precedence: Tensor) -> Tensor:
    """Give targets their least distant points, as far as they are free, rank by rank.

    First every target claims its least distant point, then its second, and so on. Of several that claim one point the
    lowest ``precedence`` wins, then the less distant, then the first in order. Of points equally distant a target
    claims the first.

    Args:
        distances: (G, P); inf or NaN where the target does not want the point.
        free: bool (P, ).
        topk: Number of claims of each target.
        precedence: (G, ).

    Returns:
        The target that each point falls to, int64 (P, ), -1 for none.
    """
    owners = torch.full_like(free, -1, dtype=torch.long)
    distances = distances.clone()
    for _ in range(topk):
        distance, claimed = distances.min(dim=1)
        order = distance.argsort(stable=True)
        order = order[precedence[order].argsort(stable=True)]
        # A target may want fewer points than it has claims.
        order = order[(free & (owners < 0))[claimed[order]] & distance[order].isfinite()]
        won = order[_first_of_each(claimed[order], len(free))]
        owners[claimed[won]] = won
        distances.scatter_(1, claimed[:, None], torch.inf)
    return owners


def _first_of_each(values: Tensor, count: int) -> Tensor:
    """Mask of the entries of ``values`` (n, ), integers in [0, count), that no equal entry precedes."""
    places = torch.arange(len(values), device=values.device)
    first = values.new_full((count, ), len(values)).scatter_reduce(0, values, places, 'amin')
    return first[values] == places
