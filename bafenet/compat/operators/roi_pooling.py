"""RoIAlign (He et al., ICCV 2017), RoIPool (Girshick, ICCV 2015), and deformable RoI pooling (Dai et al., ICCV 2017).

Regions of interest are (N, 5): index of the image in the batch, and ``[x1, y1, x2, y2]`` in pixels of the frame.
Averages of RoIAlign are torchvision's. Its RoIPool is another one, which rounds a region's corners to pixels first.
"""
import torch
from torch import Tensor

from bafenet.errors import InputError

from .precision import gradients, in_own_precision, must_repeat, widened
from .roi_samples import Bins, Regions, largest, parts_of, points_of, regions_of
from .sampling import corners_on_edge, pixel_rows, weighted_rows


@in_own_precision
def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor,
                      aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int,
                      pool_mode: int, aligned: bool) -> None:
    """Average or largest of bilinear samples in each bin of a region.

    Args:
        input: (B, C, H, W). Half precision is computed in float32.
        rois: (N, 5).
        output: (N, C, aligned_height, aligned_width), written in place.
        argmax_y: As ``output``, written in place where the largest is taken: y of the sample in pixels of the map, -1
            where there is none.
        argmax_x: The same for x.
        aligned_height: Bins of a region along y.
        aligned_width: Bins along x.
        spatial_scale: Pixels of the map per pixel of the frame.
        sampling_ratio: Samples of a bin along each side; 0 or less: as many as pixels, rounded up.
        pool_mode: 0, the largest; 1, the average.
        aligned: Whether pixel centres lie at halves in the frame. If not, regions lie half a pixel off, and none is
            smaller than a pixel of the map.

    Raises:
        InputError: On the CPU, as compiled mmcv's: if ``aligned`` and a region has a negative side.
    """
    wide, regions = widened(input, rois)
    if aligned and not rois.is_cuda and (regions[:, 3:] < regions[:, 1:3]).any():
        raise InputError('RoIAlign got a region whose x2 < x1 or y2 < y1: give boxes as x1, y1, x2, y2')
    if pool_mode == 1:
        output.copy_(torch.ops.torchvision.roi_align(wide, regions, spatial_scale, aligned_height, aligned_width,
                                                     sampling_ratio, aligned))
        return
    bins = Bins(aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned)
    grid = regions_of(regions, bins)
    each = output[:1].numel() * largest(grid.grid_height) * largest(grid.grid_width)
    for part in parts_of(len(rois), each):
        _align_largest(wide, Regions(*(values[part] for values in grid)), bins, output[part], argmax_y[part],
                       argmax_x[part])


@in_own_precision
def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor,
                       aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int,
                       pool_mode: int, aligned: bool) -> None:
    """Gradient of ``roi_align_forward`` with respect to ``input``.

    Arguments beyond those of ``roi_align_forward``: ``grad_output``, as its ``output``; ``argmax_y`` and
    ``argmax_x``, as it wrote them; ``grad_input`` (B, C, H, W), written in place.
    """
    grads, regions = widened(grad_output, rois)
    if pool_mode == 1 and must_repeat(grads):
        bins = Bins(aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned)
        # An average is linear: its gradient is the same at all features.
        grad_input.copy_(gradients(lambda features: _average_moved(features, grads.new_zeros(0), regions, bins, 0),
                                   (grads.new_zeros(grad_input.shape), ), grads)[0])
        return
    if pool_mode == 1:
        grad_input.copy_(torch.ops.torchvision._roi_align_backward(
            grads.contiguous(), regions, spatial_scale, aligned_height, aligned_width, *grad_input.shape,
            sampling_ratio, aligned))
        return
    height, width = grad_input.shape[2:]
    y, x = (places.to(grads.dtype) for places in (argmax_y, argmax_x))
    index, weights = corners_on_edge(y, x, height, width)
    # What was chosen nowhere is marked by -1.
    weights = torch.where((y != -1)[..., None], weights * grads[..., None], 0)
    _add_at(grad_input, rois, index, weights)


@in_own_precision
def roi_pool_forward(input: Tensor, rois: Tensor, output: Tensor, argmax: Tensor, pooled_height: int,
                     pooled_width: int, spatial_scale: float) -> None:
    """The largest pixel of each bin of a region that ends with its last pixel, x2 and y2 included.

    A bin's corners are rounded outwards to pixels. A bin outside the map, or of a region without area, gives 0.

    Args:
        input: (B, C, H, W).
        rois: (N, 5).
        output: (N, C, pooled_height, pooled_width), written in place.
        argmax: int32, as ``output``, written in place: row · W + column of the pixel, -1 where there is none.
        pooled_height: Bins of a region along y.
        pooled_width: Bins along x.
        spatial_scale: Pixels of the map per pixel of the frame.
    """
    wide, regions = widened(input, rois)
    height, width = input.shape[2:]
    left, right = _bin_edges(regions[:, 1], regions[:, 3], pooled_width, spatial_scale, width)
    top, bottom = _bin_edges(regions[:, 2], regions[:, 4], pooled_height, spatial_scale, height)
    # Of a region without a width no bin counts, however high it is; and the other way round.
    empty = (regions[:, 3] + 1 <= regions[:, 1]) | (regions[:, 4] + 1 <= regions[:, 2])
    right = torch.where(empty[:, None], left, right)
    each = output[:1].numel() * largest(right - left) * largest(bottom - top)
    for part in parts_of(len(rois), each):
        _pool_largest(wide, rois[part, 0].long(), [edges[part] for edges in (left, right, top, bottom)], output[part],
                      argmax[part])


@in_own_precision
def roi_pool_backward(grad_output: Tensor, rois: Tensor, argmax: Tensor, grad_input: Tensor, pooled_height: int,
                      pooled_width: int, spatial_scale: float) -> None:
    """Gradient of ``roi_pool_forward`` with respect to ``input``.

    Args:
        grad_output: (N, C, pooled_height, pooled_width).
        rois: (N, 5).
        argmax: As ``roi_pool_forward`` wrote it.
        grad_input: (B, C, H, W), written in place.
        pooled_height: As in ``roi_pool_forward``.
        pooled_width: The same.
        spatial_scale: The same.
    """
    grads, = widened(grad_output)
    found = argmax >= 0
    _add_at(grad_input, rois, torch.where(found, argmax, 0).long()[..., None], torch.where(found, grads, 0)[..., None])


@in_own_precision
def deform_roi_pool_forward(input: Tensor, rois: Tensor, offset: Tensor, output: Tensor, pooled_height: int,
                            pooled_width: int, spatial_scale: float, sampling_ratio: int, gamma: float) -> None:
    """RoIAlign's average, aligned, each bin moved by an offset.

    Args:
        input: (B, C, H, W). Half precision is computed in float32.
        rois: (N, 5).
        offset: (N, 2, pooled_height, pooled_width), x and y of each bin as shares of the region's width and height;
            or empty, for none.
        output: (N, C, pooled_height, pooled_width), written in place.
        pooled_height: Bins of a region along y.
        pooled_width: Bins along x.
        spatial_scale: Pixels of the map per pixel of the frame.
        sampling_ratio: Samples of a bin along each side; 0 or less: as many as pixels, rounded up.
        gamma: Factor of the offsets.
    """
    bins = Bins(pooled_height, pooled_width, spatial_scale, sampling_ratio, aligned=True)
    features, moves, regions = widened(input, offset, rois)
    output.copy_(_average_moved(features, moves, regions, bins, gamma))


@in_own_precision
def deform_roi_pool_backward(grad_output: Tensor, input: Tensor, rois: Tensor, offset: Tensor, grad_input: Tensor,
                             grad_offset: Tensor, pooled_height: int, pooled_width: int, spatial_scale: float,
                             sampling_ratio: int, gamma: float) -> None:
    """Gradients of ``deform_roi_pool_forward``.

    Arguments beyond those of ``deform_roi_pool_forward``: ``grad_output``, as its ``output``; ``grad_input`` and
    ``grad_offset``, as ``input`` and ``offset``, written in place. They are derivatives of what is computed: a sample
    beyond the outermost pixels' centres has no slope across these, where compiled mmcv gives that of the pixels inside.
    """
    bins = Bins(pooled_height, pooled_width, spatial_scale, sampling_ratio, aligned=True)
    wide_input, wide_offset, regions = widened(input, offset, rois)
    computed = gradients(lambda features, moves: _average_moved(features, moves, regions, bins, gamma),
                         (wide_input, wide_offset), grad_output)
    grad_input.copy_(computed[0])
    grad_offset.copy_(computed[1])


def _align_largest(features: Tensor, regions: Regions, bins: Bins, output: Tensor, argmax_y: Tensor,
                   argmax_x: Tensor) -> None:
    """Write the largest sample of each bin and where it lies, (n, C, h, w)."""
    y, x, used = points_of(regions, bins)
    # What compiled mmcv starts from, and leaves where a bin has no sample.
    least = torch.finfo(torch.float32).min if features.is_cuda else -10000.
    shape = (*y.shape[:3], features.size(1))
    best, at = features.new_full(shape, least), torch.full(shape, -1, device=y.device)
    if y.size(-1):
        samples = _samples(features, regions.image, y, x).masked_fill_(~used[..., None], -torch.inf)
        values, places = samples.max(dim=3)
        best, at = torch.where(values > least, values, best), torch.where(values > least, places, at)
    output.copy_(best.movedim(-1, 1))
    for target, coordinate in ((argmax_y, y), (argmax_x, x)):
        # The last one, -1, is what a bin without a sample picks.
        padded = torch.cat([coordinate, coordinate.new_full((*shape[:3], 1), -1)], dim=-1)
        target.copy_(padded.gather(-1, torch.where(at < 0, y.size(-1), at)).movedim(-1, 1))


def _samples(features: Tensor, image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear samples (n, h, w, G, C) at the points of n regions."""
    height, width = features.shape[2:]
    index, weights = corners_on_edge(y, x, height, width)
    return weighted_rows(pixel_rows(features), index + image[:, None, None, None, None] * height * width, weights)


def _bin_edges(start: Tensor, end: Tensor, count: int, scale: float, limit: int) -> tuple[Tensor, Tensor]:
    """First pixel of each bin and the one behind its last, int64 (N, count), of regions from ``start`` to ``end``."""
    first, beyond = start * scale, (end + 1) * scale
    side = ((beyond - first) / count)[:, None]
    step = torch.arange(count, device=start.device)
    low = (step * side + first[:, None]).floor().clamp(0, limit)
    return low.long(), ((step + 1) * side + first[:, None]).ceil().clamp(0, limit).long()


def _pool_largest(features: Tensor, image: Tensor, edges: list[Tensor], output: Tensor, argmax: Tensor) -> None:
    """Write the largest pixel of each bin and which one it is, (n, C, h, w)."""
    left, right, top, bottom = edges
    height, width = features.shape[2:]
    down = torch.arange(largest(bottom - top), device=left.device)
    along = torch.arange(largest(right - left), device=left.device)
    rows, columns = top[:, :, None] + down, left[:, :, None] + along
    used = (rows < bottom[:, :, None])[:, :, None, :, None] & (columns < right[:, :, None])[:, None, :, None, :]
    pixel = torch.where(used, rows[:, :, None, :, None] * width + columns[:, None, :, None, :], 0).flatten(3)
    if not pixel.numel():
        output.zero_()
        argmax.fill_(-1)
        return
    table = pixel_rows(features)
    values = table[pixel + image[:, None, None, None] * height * width]
    best, at = values.masked_fill_(~used.flatten(3)[..., None], -torch.inf).max(dim=3)
    found = used.flatten(3).any(-1)[..., None] & (best > -torch.inf)
    output.copy_(torch.where(found, best, 0).movedim(-1, 1))
    argmax.copy_(torch.where(found, pixel.gather(-1, at), -1).movedim(-1, 1))


def _average_moved(features: Tensor, offset: Tensor, rois: Tensor, bins: Bins, gamma: float) -> Tensor:
    """Averages (N, C, h, w) of the samples of bins that are moved by offsets, differentiable in both."""
    regions = regions_of(rois, bins)
    height, width = features.shape[2:]
    table = pixel_rows(features)
    each = 8 * bins.height * bins.width * largest(regions.grid_height) * largest(regions.grid_width)
    outputs = [table.new_zeros(0, bins.height, bins.width, table.size(1))]
    for part in parts_of(len(rois), each):
        here = Regions(*(values[part] for values in regions))
        shift = None
        if offset.numel():
            sides = torch.stack([here.bin_width * bins.width, here.bin_height * bins.height], dim=1)
            shift = offset[part] * (gamma * sides)[:, :, None, None]
        y, x, used = points_of(here, bins, shift)
        index, weights = corners_on_edge(y, x, height, width)
        number = (here.grid_height * here.grid_width).clamp(min=1)[:, None, None, None]
        weights = torch.where(used, 1 / number, 0)[..., None] * weights
        index = index + here.image[:, None, None, None, None] * height * width
        outputs.append(weighted_rows(table, index.flatten(3), weights.flatten(3)))
    return torch.cat(outputs).movedim(-1, 1)


def _add_at(grad_input: Tensor, rois: Tensor, index: Tensor, values: Tensor) -> None:
    """Write sums of ``values`` (N, C, h, w, K) at pixels ``index`` of each region's image and channel."""
    batch, channels, height, width = grad_input.shape
    plane = rois[:, 0].long()[:, None] * channels + torch.arange(channels, device=rois.device)
    rows = index + plane[:, :, None, None, None] * height * width
    sums = values.new_zeros(grad_input.numel())
    sums.index_add_(0, rows.flatten(), values.flatten())
    grad_input.copy_(sums.view_as(grad_input))
