#!/usr/bin/env python
"""Convert a data set to a SIRSTdevkit: VOC XML, COCO JSON, YOLO text, mask images, SIRST data sets.

Prints what was written, what was left out and why, what check finds, and the command that trains on it. Exit status: 0;
3 if frames had to be left out; 2 for bad input. docs/convert.md says more.
"""
import argparse
import sys

from bafenet_command import Parser, real, tool, whole

SOME_SKIPPED = 3


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='SRC', help='folder of the data set, or one COCO JSON file; only read')
    parser.add_argument('out', metavar='OUT', help='folder to write; a call that was stopped goes on there')
    parser.add_argument('--from', dest='source_format', required=True, metavar='FORMAT',
                        choices=['voc', 'coco', 'yolo', 'masks', 'sirst'], help='voc, coco, yolo, masks, or sirst: '
                        'NUDT-SIRST, IRSTD-1k, SIRST v1 and v2 as their authors distribute them')
    places = parser.add_argument_group('where things are', 'in SRC or anywhere; found by name where not given')
    places.add_argument('--images', metavar='DIR', help='folder of the images')
    places.add_argument('--labels', metavar='DIR', help='folder of the XML, JSON or text files, or the JSON file')
    places.add_argument('--masks', metavar='DIR', help='folder of the target masks')
    places.add_argument('--sky', metavar='DIR', help='folder of sky maps of 0 and 1 or 0 and 255 [none]')
    labels = parser.add_argument_group('labels')
    labels.add_argument('--box-origin', choices=['0', '1', 'auto'], default='auto', help='what VOC files call the '
                        'first pixel [auto: as the masks show, else the boxes; else 1]')
    labels.add_argument('--box-ends', choices=['inclusive', 'exclusive', 'auto'], default='auto', help='whether xmax '
                        'is the last pixel of a target or the next one [auto: likewise; else inclusive]')
    labels.add_argument('--threshold', type=real(0, 1), metavar='SHARE', help='least share of the range of a target '
                        'pixel, in soft masks [0.5; of masks of two values all that is not 0]')
    labels.add_argument('--one-class', metavar='NAME', help='call all targets so [their own classes]')
    labels.add_argument('--no-target-masks', dest='target_masks', action='store_false', help='write boxes alone')
    labels.add_argument('--range', nargs=2, type=real(), metavar=('LOW', 'HIGH'), dest='value_range', help='values '
                        'that become 0 and 65535 in frames that do not fit 16 bits [lowest and highest of each]')
    splits = parser.add_argument_group('splits')
    splits.add_argument('--splits', metavar='DIR', help='folder of lists train.txt, val.txt, test.txt, or draw [those '
                        'of SRC, by lists, folders or JSON files; drawn where it has none]')
    splits.add_argument('--shares', nargs=3, type=real(0), default=[0.7, 0.1, 0.2], metavar=('TRAIN', 'VAL', 'TEST'),
                        help='of the frames, where splits are drawn, by recording [0.7 0.1 0.2]')
    splits.add_argument('--val', type=real(0, 0.9), default=0.0, metavar='SHARE', help='where SRC has no validation '
                        'split, draw one of its training frames, by recording [0]')
    splits.add_argument('--seed', type=whole(0, 2**32 - 1), default=0, help='of what is drawn [0]')
    parser.add_argument('--link', action='store_true', help='link PNG images instead of copying them')
    parser.add_argument('--workers', type=whole(1, 256), default=1,
                        help='processes; the result does not depend on it [1]')
    return parser.parse_args(argv)


@tool('the same command goes on where it was')
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    source, out, source_format, workers = (args.pop(key) for key in ('source', 'out', 'source_format', 'workers'))
    args['box_origin'] = None if args['box_origin'] == 'auto' else int(args['box_origin'])
    args['box_ends'] = None if args['box_ends'] == 'auto' else args['box_ends']
    from bafenet.devkit.conversion.convert import ConvertOptions, convert
    from bafenet.devkit.conversion.summary import print_summary
    summary = convert(source, out, source_format, ConvertOptions(**args), workers)
    print_summary(summary, workers)
    return SOME_SKIPPED if summary.skipped else 0


if __name__ == '__main__':
    sys.exit(main())
