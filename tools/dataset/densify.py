#!/usr/bin/env python
"""Make a DenseSIRST-style set: paste clusters of small targets into the sky of annotated infrared images."""
import argparse
import sys

from bafenet_command import Parser, real, tool, whole

EPILOG = """SOURCE is a SIRSTdevkit (PNGImages, SIRST, SkySeg ...) or SIRST-V2 as published (mixed, annotations ...),
which has no sky maps and needs --sky. It is only read. OUT becomes a SIRSTdevkit with the images in grey, the original
targets first in each list of boxes and the pasted ones after them, and the splits. Called again with the same options,
an interrupted run goes on where it was; densify.json in OUT holds them, and a summary once the set is complete."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, epilog=EPILOG)
    parser.add_argument('source', metavar='SOURCE', help='data set to start from')
    parser.add_argument('out', metavar='OUT', help='folder to write')
    parser.add_argument(
        '--library',
        metavar='FILE.npz',
        help='targets to paste, a file of build_library.py [those of the source\'s own --split]')
    parser.add_argument('--split', default='train_v2', help='split of those targets, without --library [%(default)s]')
    parser.add_argument(
        '--sky',
        metavar='DIR',
        help='folder of sky maps, NAME.png or NAME_pixels0.png, 0 other and 1 or 255 sky [the source\'s own]')
    parser.add_argument('--seed', type=whole(0, 2**32 - 1), default=0,
                        help='the same seed gives the same set [%(default)s]')
    parser.add_argument('--workers', type=whole(1, 256), default=1,
                        help='processes; the set does not depend on it [%(default)s]')
    parser.add_argument('--limit', type=whole(1), metavar='N', help='for a trial: the first N images, by name [all]')
    recipe = parser.add_argument_group('recipe', 'ranges with both ends included; the paper\'s by default')
    for name, low, high, kind, text in (('num-clusters', 1, 3, whole(1, 10**4), 'clusters in an image'),
                                        ('targets-per-cluster', 8, 12, whole(1, 10**4), 'targets in a cluster'),
                                        ('spacing', 1, 2, whole(1, 1000), 'empty pixels between a target and the next'),
                                        ('brightness', 0.5, 1.0, real(0, 1000), 'factor on a target\'s grey levels')):
        recipe.add_argument(f'--{name}', nargs=2, type=kind, default=(low, high), metavar=('LOW', 'HIGH'),
                            help=f'{text} [{low} {high}]')
    recipe.add_argument('--region-size', type=whole(1, 4096), default=20,
                        help='side of a cluster in pixels [%(default)s]')
    recipe.add_argument('--max-target-size', type=whole(1, 4096), default=5,
                        help='larger targets are shrunk to it [%(default)s]')
    return parser.parse_args(argv)


@tool('the same command goes on where it was')
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    from bafenet.errors import printable
    from bafenet.fileio import require_writable_folder
    from bafenet.synthesis.densify import densify
    from bafenet.synthesis.recipe import ClusterRecipe
    require_writable_folder(args['out'])
    ranges = {key: tuple(args.pop(key)) for key in ('num_clusters', 'targets_per_cluster', 'spacing', 'brightness')}
    summary = densify(recipe=ClusterRecipe(region_size=args.pop('region_size'), **ranges), **args)
    print(f'{printable(args["out"])}: {summary.images} images, {summary.targets} original targets, {summary.pasted} '
          f'pasted; {summary.without_room} images without room, {summary.colour} in colour made grey, '
          f'{summary.moved} boxes moved onto their mask')
    return 0


if __name__ == '__main__':
    sys.exit(main())
