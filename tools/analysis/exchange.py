#!/usr/bin/env python
"""Measure what a trained network's feature exchange does, and what it could do.

How well the sky can be read off the features of each task before they are exchanged; what the network loses where
nothing crosses; what its own sky map is worth in the scores, and what the true one would be.
"""
import argparse
import sys

from bafenet_command import Parser, tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, for example configs/bafenet/bafenet_hr_tiny_densesirst.py')
    parser.add_argument('checkpoint', help='checkpoint file, the work dir whose best one is meant (the last one of a '
                        'run that picks none), or the name of '
                        'weights that come with the package (bafenet_hr_tiny)')
    parser.add_argument('--split-from', choices=('train', 'val', 'test'), default='val',
                        help='whose data loader of the config names the split [val]')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu', help='where the network runs [cpu]')
    parser.add_argument('--out', metavar='FILE.json', help='write the numbers')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE',
                        help='settings of the config to change, as in val_dataloader.dataset.data_root=FOLDER')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.analysis import exchange
    exchange.report(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
