#!/usr/bin/env python
"""Draw detection curves of tested checkpoints: precision-recall, false alarms, recall by size, reliability.

Precision-recall at IoU 0.5 and 0.75; recall against false alarms per frame, in and out of the true sky; recall by
target size, local contrast and frame size, with the number of targets and Wilson's 95 % interval of each bin; the
share of right boxes by their score, with the expected calibration error.
"""
import argparse
import sys

from bafenet_command import Parser, call_of, real, tool, whole

PANELS = ('precision_recall_50', 'precision_recall_75', 'alarms_sky', 'alarms_other', 'alarms_all', 'size', 'contrast',
          'frame', 'reliability')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', nargs='+', metavar='RESULTS.json',
                        help=f'what {call_of("test")} CONFIG CHECKPOINT --out wrote')
    parser.add_argument('--out', required=True, metavar='FILE.png', help='picture, .png, .svg or .pdf')
    parser.add_argument('--labels', nargs='+', help='names of the runs [their files]')
    parser.add_argument('--json', metavar='FILE.json', help='write the numbers')
    parser.add_argument('--panels', nargs='+', choices=PANELS, default=PANELS, metavar='PANEL',
                        help=f'what to draw, of {", ".join(PANELS)} [all]')
    parser.add_argument('--columns', type=whole(1, 8), default=2, help='panels in a row [2]')
    parser.add_argument('--score', type=real(0, 1), help='lowest score of a detection that counts in the recall by '
                        'size, contrast and frame [each run\'s own, where its F1 is highest]')
    parser.add_argument('--frames', metavar='FOLDER', help='where the frames are [where the results say]')
    for option, what in (('--size-edges', 'target size, px'), ('--contrast-edges', 'local contrast'),
                         ('--frame-edges', 'frame size, px')):
        parser.add_argument(option, nargs='+', type=real(0), metavar='EDGE',
                            help=f'edges of the bins of {what}; the last bin holds what is above, too')
    parser.add_argument('--legacy-coordinates', action='store_true',
                        help='boxes have sides of x2 - x1 + 1, as in the paper\'s protocol')
    parser.add_argument('--different-splits', action='store_true',
                        help='draw runs that were tested on different frames or boxes, too')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    edges = {name: args.pop(f'{name}_edges') for name in ('size', 'contrast', 'frame')}
    from bafenet.visualization import detection_figures
    detection_figures.draw(**args, edges={name: values for name, values in edges.items() if values})
    return 0


if __name__ == '__main__':
    sys.exit(main())
