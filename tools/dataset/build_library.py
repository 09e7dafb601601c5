#!/usr/bin/env python
"""Build the library of targets that BAG-CP and densify.py paste from."""
import argparse
import sys

from bafenet_command import Parser, tool

EPILOG = """Cut out are the boxes of the target masks' connected components, as grey levels; of images without a target
mask, the boxes of their XML. Images of more than 8 bits are brought to 8 as predict and training do. Take the training
split of the protocol in use, never one that is tested on. DATA_ROOT is a SIRSTdevkit (PNGImages, SIRST ...) or SIRST-V2
as published (mixed, annotations ...). Mind that in a SIRSTdevkit, DenseSIRST, most targets are themselves synthetic:
they were pasted when that set was made. SIRST-V2 holds real ones alone."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, epilog=EPILOG)
    parser.add_argument('root', metavar='DATA_ROOT', help='data set with images, target masks and splits')
    parser.add_argument('--split', default='train_v2', help='split to take targets from [%(default)s]')
    parser.add_argument('--out', required=True, metavar='FILE.npz', help='file to write')
    parser.add_argument(
        '--remove-background',
        action='store_true',
        help='subtract from each target the median of the pixels around its box [keep its pixels as they are]')
    parser.add_grey_levels('image')
    parser.add_argument('--force', action='store_true', help='replace the file where it exists')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.devkit.grey_levels import PERCENTILES, GreyLevels
    from bafenet.errors import printable
    from bafenet.fileio import require_writable_file
    from bafenet.synthesis.build_library import write_library
    require_writable_file(args.out, '--out')
    levels = GreyLevels(tuple(args.percentiles or PERCENTILES), args.value_range and tuple(args.value_range))
    summary = write_library(args.root, args.split, args.out, args.remove_background, args.force, levels)
    median, largest, frequent = ('{:g}x{:g}'.format(*summary[key]) for key in (
        'median_size', 'largest_size', 'most_frequent_size'))
    print(f'{printable(args.out)}: {summary["targets"]} targets, height x width: median {median}, most frequent '
          f'{frequent}, largest sides {largest}; {summary["file_bytes"] / 1024:.0f} KiB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
