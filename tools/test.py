#!/usr/bin/env python
"""Test a checkpoint on the test split: mAP07, mAP12, recall, false alarms, sky IoU."""
import argparse
import os
import sys

from bafenet_command import Parser, real, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='config file that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='checkpoint file, the work dir whose best one is meant (the last one of a '
                        'run that picks none), or the name of weights that come with the package (bafenet_hr_tiny)')
    parser.add_argument('--work-dir', help='folder for logs [work_dirs/CONFIG_NAME]')
    parser.add_argument('--out', metavar='FILE.json', help='write every metric and the detections of each image')
    parser.add_argument('--show', action='store_true', help='show each image in a window')
    parser.add_argument('--show-dir', help='write each image with true and predicted boxes and the predicted sky')
    parser.add_argument('--wait-time', type=real(0, 86400), default=2.0, help='seconds to show an image [2]')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='settings of the config to change')
    parser.add_argument('--data', metavar='DEVKIT', help='test on this devkit instead of the config\'s data: its test '
                        'split, else its validation split, else all frames; of a config that reads target masks, '
                        'frames with masks')
    parser.add_argument('--splits', metavar='NAME', help='the splits to test on: v2, as published, rec, which share no '
                        'recording, or your own [the config\'s]')
    parser.add_argument('--allow-training-images', action='store_true',
                        help='test on images that the network was trained on; the table and the file then say so')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=whole(0, 10**6), default=0, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    os.environ.setdefault('LOCAL_RANK', str(args.pop('local_rank')))
    from bafenet.engine.test import test
    test(**args)
    return 0


if __name__ == '__main__':
    sys.exit(main())
