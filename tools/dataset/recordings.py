#!/usr/bin/env python
"""Divide a SIRSTdevkit by recording, so that no test image shows a scene that was trained on.

Images belong together if their names begin alike (not inside collections) or if they are near-duplicates: many SIFT
keypoints of one lie on those of the other after one shift, zoom and rotation. Prints the groups and how much the
devkit's own splits share, and writes {train,val,trainval,test}_rec.txt, groups.txt and recordings.json.
docs/split_by_recording.md says how to train on them, and how to make them of your own data.
"""
import argparse
import sys

from bafenet_command import Parser, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('devkit', help='folder that holds PNGImages, SIRST and Splits; it is never changed')
    lists = parser.add_mutually_exclusive_group()
    lists.add_argument('--splits', default='v2', metavar='NAME',
                       help='divide the images of the lists trainval_NAME and test_NAME in Splits [%(default)s]')
    lists.add_argument('--all-images', dest='splits', action='store_const', const=None,
                       help='divide all images; Splits need not exist')
    parser.add_argument('--out', default='data/splits_by_recording', metavar='DIR',
                        help='folder for the lists; replaces only what this tool wrote [%(default)s]')
    parser.add_argument('--seed', type=whole(0, 2**32 - 1), default=0,
                        help='the same seed gives the same division [%(default)s]')
    parser.add_argument('--collections', nargs='*', default=['Misc', 'iraytek'], metavar='PREFIX',
                        help='prefixes that hold many recordings [Misc iraytek]')
    parser.add_argument('--min-matches', type=whole(3, 10**6), default=8, metavar='N',
                        help='matching places that make two images near-duplicates [%(default)s]')
    parser.add_argument('--workers', type=whole(1, 256), default=1,
                        help='processes that read images; the result does not depend on it [%(default)s]')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from bafenet.devkit.recordings import split_by_recording
    split_by_recording(**vars(args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
