#!/usr/bin/env python
"""Measure where boxes end, as a share of a target's peak, for present and for pasted targets of a training split.

The two should agree, in that share and in size: BAGCopyPaste's visible_share and sigma are there to make them. Images
are read at their own size; every image is pasted into once.
"""
import argparse
import sys

from bafenet_command import Parser, tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, for example configs/bafenet/bafenet_hr_tiny_densesirst.py')
    parser.add_argument('--out', metavar='FILE.json', help='write the numbers')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE',
                        help='settings of the config to change, as in train_dataloader.dataset.data_root=FOLDER')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.analysis import box_edges
    box_edges.report(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
