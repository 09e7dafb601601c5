"""Operators written from their definitions in NumPy, a value at a time, in float64."""
import numpy as np


def pixel_weight(distance):
    return max(0., 1 - abs(distance))


def in_zeros(plane, y, x):
    """Bilinear value of a plane (H, W) that zeros surround."""
    return sum(plane[i, j] * pixel_weight(y - i) * pixel_weight(x - j) for i, j in np.ndindex(*plane.shape))


def on_edge(plane, y, x):
    """Bilinear value of a plane whose outermost pixels go on for a pixel, and nothing beyond."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.
    return in_zeros(plane, min(max(y, 0), height - 1), min(max(x, 0), width - 1))


def roi_samples(roi, bins, scale, ratio, aligned, shifts=None):
    """Of each bin of one region (row, column) the list of its sampling points (y, x), rows first."""
    x1, y1, x2, y2 = (scale * value - (0.5 if aligned else 0) for value in roi[1:])
    height, width = (side if aligned else max(side, 1.) for side in (y2 - y1, x2 - x1))
    rows, columns = bins
    grid_y, grid_x = ratio or int(np.ceil(height / rows)), ratio or int(np.ceil(width / columns))
    points = {}
    for row, column in np.ndindex(rows, columns):
        dx, dy = (0, 0) if shifts is None else (shifts[0, row, column] * width, shifts[1, row, column] * height)
        points[row, column] = [(y1 + dy + (row + (i + 0.5) / grid_y) * height / rows,
                                x1 + dx + (column + (j + 0.5) / grid_x) * width / columns)
                               for i in range(grid_y) for j in range(grid_x)]
    return points


def roi_align(features, rois, bins, scale, ratio, mode, aligned, shifts=None):
    """(N, C, *bins); ``shifts`` (N, 2, *bins), x and y as shares of the region's sides."""
    output = np.zeros((len(rois), features.shape[1], *bins))
    for n, roi in enumerate(rois):
        samples = roi_samples(roi, bins, scale, ratio, aligned, None if shifts is None else shifts[n])
        for c, plane in enumerate(features[int(roi[0])]):
            for place, points in samples.items():
                values = [on_edge(plane, *point) for point in points]
                output[n, c][place] = (np.mean(values) if mode == 'avg' else max(values)) if values else 0
    return output


def roi_pool(features, rois, bins, scale):
    """(N, C, *bins), regions ending behind their last pixel, bins rounded outwards."""
    output = np.zeros((len(rois), features.shape[1], *bins))
    for n, roi in enumerate(rois):
        x1, y1 = roi[1] * scale, roi[2] * scale
        width, height = (roi[3] + 1 - roi[1]) * scale, (roi[4] + 1 - roi[2]) * scale
        if width <= 0 or height <= 0:
            continue
        for row, column in np.ndindex(*bins):
            limits = []
            for start, side, place, number in ((y1, height, row, bins[0]), (x1, width, column, bins[1])):
                limits += [int(np.floor(start + place * side / number)),
                           int(np.ceil(start + (place + 1) * side / number))]
            top, bottom, left, right = (max(value, 0) for value in limits)
            pixels = features[int(roi[0]), :, top:bottom, left:right]
            if pixels.size:
                output[n, :, row, column] = pixels.max((1, 2))
    return output


def deform_conv(features, offset, weight, mask=None, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1),
                groups=1, deform_groups=1):
    """(B, C', H', W'): weights of a group's channels times values at the kernel's taps, each moved by its offset."""
    batch, channels, *sides = features.shape
    out_channels, in_group, kernel_h, kernel_w = weight.shape
    out_h, out_w = ((side + 2 * pad - spacing * (kernel - 1) - 1) // step + 1 for side, pad, spacing, kernel, step
                    in zip(sides, padding, dilation, (kernel_h, kernel_w), stride, strict=True))
    taps = kernel_h * kernel_w
    offset = offset.reshape(batch, deform_groups, taps, 2, out_h, out_w)
    output = np.zeros((batch, out_channels, out_h, out_w))
    for b, c, i, j in np.ndindex(batch, channels, out_h, out_w):
        moved_as = c // (channels // deform_groups)
        for tap in range(taps):
            row, column = divmod(tap, kernel_w)
            dy, dx = offset[b, moved_as, tap, :, i, j]
            value = in_zeros(features[b, c], i * stride[0] - padding[0] + row * dilation[0] + dy,
                             j * stride[1] - padding[1] + column * dilation[1] + dx)
            if mask is not None:
                value *= mask[b, moved_as * taps + tap, i, j]
            group = c // in_group
            of_group = slice(group * out_channels // groups, (group + 1) * out_channels // groups)
            output[b, of_group, i, j] += weight[of_group, c % in_group, row, column] * value
    return output if bias is None else output + bias[:, None, None]


def deform_attention(value, shapes, locations, attention):
    """(B, Q, M · D): sums over levels and points of attention times the level's value there."""
    batch, _, heads, channels = value.shape
    output = np.zeros((batch, locations.shape[1], heads, channels))
    for b, q, m, level, point in np.ndindex(attention.shape):
        height, width = shapes[level]
        start = sum(h * w for h, w in shapes[:level])
        x, y = locations[b, q, m, level, point]
        for d in range(channels):
            plane = value[b, start:start + height * width, m, d].reshape(height, width)
            # 0 and 1 are the frame's outer edges, half a pixel beyond the outermost centres.
            output[b, q, m, d] += attention[b, q, m, level, point] * in_zeros(plane, y * height - 0.5, x * width - 0.5)
    return output.reshape(batch, -1, heads * channels)


def carafe(features, masks, kernel, groups, factor):
    """(B, C, H · factor, W · factor): a kernel of its own at each place, over pixels around the one beneath."""
    batch, channels, height, width = features.shape
    output = np.zeros((batch, channels, height * factor, width * factor))
    for b, c, i, j in np.ndindex(*output.shape):
        group = c // (channels // groups)
        for row, column in np.ndindex(kernel, kernel):
            y, x = i // factor + row - kernel // 2, j // factor + column - kernel // 2
            if 0 <= y < height and 0 <= x < width:
                output[b, c, i, j] += features[b, c, y, x] * masks[b, (group * kernel + row) * kernel + column, i, j]
    return output


def border_align(features, boxes, steps):
    """(B, C, N, 4): the largest value at ``steps + 1`` places along top, left, bottom, right, channels of their own."""
    batch, channels = len(features), features.shape[1] // 4
    output = np.zeros((batch, channels, boxes.shape[1], 4))
    for b, c, n in np.ndindex(*output.shape[:3]):
        x1, y1, x2, y2 = boxes[b, n]
        shares = np.arange(steps + 1) / steps
        sides = ([(y1, x1 + t * (x2 - x1)) for t in shares], [(y1 + t * (y2 - y1), x1) for t in shares],
                 [(y2, x2 - t * (x2 - x1)) for t in shares], [(y2 - t * (y2 - y1), x2) for t in shares])
        for side, points in enumerate(sides):
            output[b, c, n, side] = max(on_edge(features[b, side * channels + c], *point) for point in points)
    return output
