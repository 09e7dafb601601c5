#!/usr/bin/env python
"""Find targets and sky in your own frames: images of any depth, folders, TIFF stacks, NumPy files, videos."""
import argparse
import io
import sys
from collections.abc import Iterator
from typing import TextIO

from bafenet_command import Parser, printable, real, tool, whole

SOME_SKIPPED = 3


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='image, TIFF stack, .npy file, video, folder, '
                        'pattern, or - for a list of these on standard input')
    parser.add_argument('--weights', default='bafenet_hr_tiny', help='shipped name, checkpoint file, or work dir, '
                        'of which the best one is taken [bafenet_hr_tiny]')
    parser.add_argument('--config', metavar='FILE.py', help='config file instead of the one in the checkpoint, for a '
                        'network with parts of your own, which it imports')
    parser.add_argument('--out', default='predictions', metavar='FOLDER', help='predictions.json (COCO), '
                        'detections.csv and what else is asked for; a call that was stopped goes on there '
                        '[predictions]')
    parser.add_argument('--pictures', action='store_true', help='write each frame with its boxes and its sky; of a '
                        'video, an MP4')
    parser.add_argument('--sky-maps', action='store_true', help='write a PNG of the sky of each frame, 1 = sky')
    parser.add_argument('--masks', action='store_true', help='write a PNG of the pixels of the targets of each frame, '
                        '1 = target, of a network that marks them')
    parser.add_argument('--score', type=real(0, 1), help='lowest score of a box, 0 for all; 0.3 shows what is '
                        'likely a target where scores are not calibrated [that of a likely target where they are, '
                        'else the config\'s threshold]')
    parser.add_argument('--max-detections', type=whole(1, 100_000), default=300, help='most boxes of a frame [300]')
    parser.add_argument('--sky-only', action='store_true', help='only boxes in the predicted sky')
    parser.add_grey_levels(more=', for a sequence')
    parser.add_argument('--tile', type=whole(0, 2**16), metavar='PIXELS', help='larger frames are cut '
                        'into tiles with an overlap of 256; a multiple of 64, 0 for whole frames [1024]')
    parser.add_argument('--device', default='cpu', help='cpu, cuda or cuda:N [cpu]')
    parser.add_argument('--batch', type=whole(1, 1024), help='frames of one size, or tiles, at once [1; 8 on a GPU]')
    parser.add_argument('--precision', choices=['float32', 'bfloat16'], default='float32', help='bfloat16 is faster '
                        'where the processor multiplies it [float32]')
    parser.add_argument('--shard', type=_shard, metavar='K/N', help='the frames of process K of N, as 1/4')
    return parser.parse_args(argv)


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition('/')
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) <= 10_000):
        raise argparse.ArgumentTypeError(f'{text[:40]}: give K/N, K from 1 to N, as 1/4')
    return int(number), int(count)


def _count(number: int, what: str) -> str:
    return f'{number} {what}{"" if number == 1 else "s"}'


def _lines_of(stream: TextIO) -> Iterator[str]:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors='surrogateescape')  # a name need not be UTF-8
    return iter(stream)


@tool('call it again to go on')
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    lines = _lines_of(sys.stdin) if '-' in args['inputs'] else ()
    from bafenet.apis.predict import predict
    summary = predict(**args, lines=lines)
    before = summary.frames - summary.predicted
    by_class = ', '.join(f'{printable(name)} {count}' for name, count in summary.likely.items())
    likely = (f', {sum(summary.likely.values())} of them at {summary.lowest:g} or more ({by_class})'
              if summary.detections else '')
    print(f'{_count(summary.frames, "frame")}{f" ({before} of an earlier call)" if before else ""}, '
          f'{_count(summary.detections, "detection")}{likely}, {_count(len(summary.skipped), "file")} skipped')
    if summary.chosen is not None:
        print(f'boxes below a score of {summary.chosen:g}, which are no likely targets, were left out: --score 0 gives '
              'them too')
    if summary.predicted:
        print(f'{summary.median_ms:.1f} ms a frame (median; 95 % within {summary.p95_ms:.1f} ms), '
              f'{summary.predicted / summary.seconds:.1f} frames/s with reading and writing')
    print(f'wrote {printable(args["out"])}')
    return SOME_SKIPPED if summary.skipped else 0


if __name__ == '__main__':
    sys.exit(main())
