#!/usr/bin/env python
"""Print parameters and FLOPs of configs, beside the paper's."""
import argparse
import sys

from bafenet_command import Parser, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('configs', nargs='+', metavar='CONFIG',
                        help='config files, for example configs/bafenet/bafenet_r50_paper_densesirst.py')
    parser.add_argument('--shape', nargs=2, type=whole(1, 8192), metavar=('H', 'W'),
                        help='height and width of the input [the config\'s input_size]')
    parser.add_argument('--out', metavar='FILE.json', help='write the results')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.analysis import complexity
    complexity.report(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
