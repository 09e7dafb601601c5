#!/usr/bin/env python
"""Export the labels of a SIRSTdevkit, or predictions, as COCO JSON or YOLO text files, with their images."""
import argparse
import sys

from bafenet_command import Parser, printable, real, tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('source', metavar='SRC', help='a devkit; predictions.json of predict, or its folder; or the '
                        'file of test --out')
    parser.add_argument('out', metavar='OUT', help='folder to create')
    parser.add_argument('--to', required=True, choices=['coco', 'yolo'], help='coco: annotations/SPLIT.json; yolo: '
                        'labels/SPLIT/NAME.txt and data.yaml')
    lists = parser.add_mutually_exclusive_group()
    lists.add_argument('--splits', default='v2', metavar='NAME',
                       help='of a devkit, the lists train_NAME, val_NAME and test_NAME [%(default)s]')
    lists.add_argument('--all-images', dest='splits', action='store_const', const=None,
                       help='all images as one split, called all')
    parser.add_argument('--images', choices=['link', 'copy', 'none'], default='link', help='link the images to '
                        'OUT/images, or copy them [link]')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='class names in order [those there are, sorted]')
    parser.add_argument('--min-score', type=real(0, 1), default=0.0, help='lowest score of a prediction [0]')
    parser.add_argument('--confidence', action='store_true', help='write scores of predictions to YOLO files, as a '
                        'sixth number')
    return parser.parse_args(argv)


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    source, out, to = (args.pop(key) for key in ('source', 'out', 'to'))
    from bafenet.release.export_labels import ExportOptions, export_labels
    done = export_labels(source, out, to, ExportOptions(**args))
    frames = ', '.join(f'{printable(split)} {count}' for split, count in done.frames.items())
    print(f'{printable(out)}: {sum(done.frames.values())} frames ({frames}), {done.boxes} boxes of '
          f'{", ".join(map(printable, done.classes))}')
    if done.left_out:
        print(f'{done.left_out} images are in none of these splits and were left out; --all-images takes all')
    if done.below:
        print(f'{done.below} boxes below --min-score were left out')
    return 0


if __name__ == '__main__':
    sys.exit(main())
