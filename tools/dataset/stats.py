#!/usr/bin/env python
"""Measure a SIRSTdevkit: the paper's Table I row and Fig. 4, its clusters, and where the data differ from the paper.

Prints tables and writes statistics.json and PNG figures. How each quantity is defined stands in the JSON.
"""
import argparse
import sys

from bafenet_command import Parser, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('devkit', help='folder that holds PNGImages, SIRST, SkySeg and Splits; it is never changed')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for statistics.json and the figures')
    parser.add_argument('--split', help='measure the images of this split, for example train_v2 [all images]')
    parser.add_argument('--workers', type=whole(1, 256), default=1,
                        help='processes; the result does not depend on it [1]')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.devkit.stats import report
    report(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
