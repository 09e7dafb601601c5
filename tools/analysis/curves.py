#!/usr/bin/env python
"""Draw the training curves of runs: losses and learning rate by step and, where they were validated, metrics by epoch.

The learning rate is the step size that was applied: under D-Adaptation and Prodigy their estimate d times lr.
"""
import argparse
import sys

from bafenet_command import Parser, call_of, tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', metavar='RUN', help=f'work dir of {call_of("train")}, or its scalars.json')
    parser.add_argument('--out', required=True, metavar='FILE.png', help='picture, .png, .svg or .pdf')
    parser.add_argument('--labels', nargs='+', help='names of the runs [their folders]')
    parser.add_argument('--metrics', nargs='+', metavar='NAME', help='metrics to draw, as FPPI_sky; all for all that a '
                        'log holds, none for none [mAP_12 mAP_12_iou75 recall sky_iou, and of '
                        'target masks irstd/IoU irstd/nIoU irstd/P_d irstd/F_a]')
    parser.add_argument('--by-iteration', action='store_true', help='draw metrics by the iteration at which their '
                        'epoch ended [by epoch]')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.visualization import curves
    curves.draw(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
