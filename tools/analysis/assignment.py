#!/usr/bin/env python
"""Count which targets of a split get a point to learn from, by level and by size, under a config's label assignment.

Asks the head's own target function, as training does; neither images nor weights are read. Augmentation is left out.
"""
import argparse
import sys

from bafenet_command import Parser, tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, for example configs/bafenet/bafenet_r50_densesirst.py')
    parser.add_argument('--split-from', choices=('train', 'val', 'test'), default='test',
                        help='whose data loader of the config names the split and the size of the input [test]')
    parser.add_argument('--out', metavar='FILE.json', help='write the counts')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE',
                        help='settings of the config to change, as in model.bbox_head.assign=nearest')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.analysis import assignment
    assignment.report(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
