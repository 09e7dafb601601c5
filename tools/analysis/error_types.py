#!/usr/bin/env python
"""Divide what a tested checkpoint lacks to an mAP of 1 by error type (TIDE), and measure where its boxes lie.

Misses, false alarms in and out of the sky, localisation and double answers: what fixing each is worth at IoU 0.5 and
0.75; then the error of each side of the boxes in pixels, and the jitter of true boxes that it equals.
"""
import argparse
import sys

from bafenet_command import Parser, call_of, tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', metavar='RESULTS.json', help=f'what {call_of("test")} CONFIG CHECKPOINT --out wrote')
    parser.add_argument('--out', metavar='FILE.json', help='write the numbers')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.analysis import error_types
    error_types.report(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
