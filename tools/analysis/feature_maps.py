#!/usr/bin/env python
"""Draw feature maps of several checkpoints on the same frames: before and after the feature exchange (paper Fig. 7).

A row for each frame and checkpoint: the frame with its true boxes, then a map for each layer, all on one colour scale.
cls_before and seg_before are what enters the exchange, cls_after and seg_after what leaves it; cls_exchanged and
seg_exchanged are the channels alone that came from the other task. Any module can be named by its path, too.
"""
import argparse
import sys

from bafenet_command import Parser, real, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoints', nargs='+', metavar='CHECKPOINT', help='checkpoint file, work dir whose best one '
                        'is meant, or name of weights that come with the package (bafenet_hr_tiny)')
    parser.add_argument('--frames', nargs='+', required=True, metavar='FRAME',
                        help='names of images of a split, which have boxes, or paths of images')
    parser.add_argument('--out', required=True, metavar='FILE.png', help='picture, .png, .svg or .pdf')
    parser.add_argument('--layers', nargs='+', metavar='LAYER',
                        default=['cls_before', 'cls_after', 'seg_before', 'seg_after'],
                        help='as bbox_head.cls_convs.0 [cls_before cls_after seg_before seg_after]')
    parser.add_argument('--exchanged', action='store_true', help='cls_exchanged and seg_exchanged beside the layers')
    parser.add_argument('--labels', nargs='+', help='names of the checkpoints [their files]')
    parser.add_argument('--level', type=whole(0, 31), default=0, help='feature level, 0 the finest [0]')
    parser.add_argument('--reduce', choices=('mean', 'max', 'norm'), default='mean', help='over the channels: mean or '
                        'largest |activation|, or Euclidean norm [mean]')
    parser.add_argument('--zoom', type=whole(0, 8192), default=0, metavar='PIXELS',
                        help='side of the part of each frame to show, around its densest cluster; 0 for all [0]')
    parser.add_argument('--scale', choices=('picture', 'layer'), default='picture',
                        help='one colour scale for the picture, or one for each layer [picture]')
    parser.add_argument('--percentile', type=real(0, 100), default=100, help='of the values shown, the one at which '
                        'the colour scale ends [100]')
    parser.add_argument('--split', metavar='NAME', help='split that frames are named in, as val_v2 [the test split of '
                        'the first checkpoint]')
    parser.add_argument('--data-root', metavar='FOLDER', help='devkit of the frames that are given by name [the '
                        'config\'s]')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu', help='where the networks run [cpu]')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    if args.pop('exchanged'):
        args['layers'] = [*args['layers'], 'cls_exchanged', 'seg_exchanged']
    from bafenet.analysis import feature_maps
    feature_maps.report(**args)
    return 0


if __name__ == '__main__':
    sys.exit(main())
