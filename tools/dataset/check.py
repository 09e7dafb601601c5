#!/usr/bin/env python
"""Check a whole SIRSTdevkit: every image, mask, box, point and split, and how they go together.

Prints each problem as FILE: PROBLEM and a summary. Exit status: 0 without problems (warnings do not count), 1 with
problems, 2 for bad input.
"""
import argparse
import sys

from bafenet_command import Parser, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('devkit', help='folder that holds PNGImages, SIRST, SkySeg and Splits; it is never changed')
    parser.add_argument(
        '--fix-boxes',
        metavar='OUT',
        help='create this folder with a copy of every box XML, each box that differs from its mask component '
        'fixed; to train with it put it there instead of SIRST/BBox, or set data_prefix.box_path of the dataset')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='any other class is a problem [any class is fine]')
    parser.add_argument('--json', dest='json_file', metavar='FILE', help='write everything that was found as JSON')
    parser.add_argument('--workers', type=whole(1, 256), default=1,
                        help='processes; the result does not depend on it [1]')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.devkit.check import check
    return 1 if check(**vars(args)) else 0


if __name__ == '__main__':
    sys.exit(main())
