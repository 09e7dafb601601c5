#!/usr/bin/env python
"""Calibrate the scores of a tested checkpoint: the map that makes a score the share of right boxes among its like.

Right is a box whose centre is within 3 px of a target's. The expected calibration error is that of the scores as they
are, through the map, and cross-fitted: through the map that was fitted without the recordings of the frames.
"""
import argparse
import sys

from bafenet_command import Parser, call_of, real, tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', nargs='+', metavar='RESULTS.json',
                        help=f'what {call_of("test")} CONFIG CHECKPOINT --out wrote, of one checkpoint; each file '
                        'weighs the same')
    parser.add_argument('--recordings', metavar='GROUPS.txt', help='groups.txt of tools/dataset/recordings.py '
                        '[recordings are found by the frames, or by their names where these are not here]')
    parser.add_argument('--precision', type=real(0.01, 0.999), default=0.9, help='boxes are likely targets from the '
                        'score on from which this share of them is right, the mean over the files [0.9]')
    parser.add_argument('--out', metavar='FILE.json', help='write the numbers and the map')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.analysis.calibration import calibrate
    calibrate(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
