#!/usr/bin/env python
"""Make sky maps of a devkit's frames by a trained network, ignored where it is unsure, or check how good they are.

Writes SkySeg/PaletteMask/NAME.png (0 other, 1 sky, 255 ignored) for each frame that has no map; a map that is there is
never touched. Called again it goes on. Exit status: 0, 3 where frames could not be read, 2 for bad input.
"""
import argparse
import shlex
import sys

from bafenet_command import Parser, call_of, printable, real, tool, whole

CONFIG = 'configs/bafenet/bafenet_hr_tiny_densesirst.py'
SOME_SKIPPED = 3


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('devkit', help='folder that holds PNGImages and, where there are any, SkySeg and Splits')
    parser.add_argument('--weights', default='bafenet_hr_tiny', help='shipped name, checkpoint file, or work dir, '
                        'of which the best one is taken [bafenet_hr_tiny]')
    parser.add_argument('--config', metavar='FILE.py', help='config file instead of the one in the checkpoint')
    parser.add_argument('--bounds', nargs=2, type=real(0, 1), default=(0.1, 0.9), metavar=('LOW', 'HIGH'),
                        help='probabilities of sky up to LOW are other, from HIGH up sky, 255 between [0.1 0.9]')
    parser.add_argument('--splits', nargs='+', metavar='NAME', help='frames of these lists, as train_v2, or v2 for '
                        'train_v2, val_v2 and test_v2 [all frames]')
    parser.add_argument('--replace', action='store_true', help='make the maps of earlier calls anew, with these '
                        'settings; other maps stay')
    parser.add_argument('--check', action='store_true', help='write no map: compare with the true maps of frames that '
                        'have one')
    parser.add_argument('--json', dest='json_file', metavar='FILE', help='write the numbers of --check as JSON')
    parser.add_grey_levels()
    parser.add_argument('--tile', type=whole(0, 2**16), metavar='PIXELS', help='larger frames are cut into tiles, as '
                        'predict does; 0 for whole frames [1024]')
    parser.add_argument('--device', default='cpu', help='cpu, cuda or cuda:N [cpu]')
    parser.add_argument('--batch', type=whole(1, 1024), help='frames of one size, or tiles, at once [1; 8 on a GPU]')
    args = parser.parse_args(argv)
    if args.check and args.replace:
        parser.error('--check writes no map: leave out --replace')
    if args.json_file and not args.check:
        parser.error('--json: only with --check')
    return args


@tool('call it again to go on')
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    devkit, bounds, splits = (args.pop(key) for key in ('devkit', 'bounds', 'splits'))
    check, replace, json_file = (args.pop(key) for key in ('check', 'replace', 'json_file'))
    from bafenet.apis.pseudo_sky import NetworkOptions, write_pseudo_sky
    options = NetworkOptions(**args)
    if check:
        from bafenet.apis.pseudo_sky_check import check_pseudo_sky
        return SOME_SKIPPED if check_pseudo_sky(devkit, options, bounds, splits, json_file)['skipped'] else 0
    summary = write_pseudo_sky(devkit, options, bounds, splits, replace)
    there = [(summary.earlier, 'have a pseudo map of an earlier call'), (summary.kept, 'have a map, which stays'),
             (summary.binary, 'have one in SkySeg/BinaryMask alone, which training does not read'),
             (len(summary.skipped), 'cannot be read')]
    print(', '.join([f'{summary.frames} frames: {summary.written} maps written',
                     *(f'{number} {what}' for number, what in there if number)]))
    print(f'all pseudo maps: {summary.decided:.1%} of the pixels decided, {summary.sky:.1%} of these sky; '
          f'{summary.undecided} maps in which nothing is')
    print(f'train with them: {call_of("train")} {CONFIG} --data {printable(shlex.quote(devkit))} --from '
          'bafenet_hr_tiny')
    return SOME_SKIPPED if summary.skipped else 0


if __name__ == '__main__':
    sys.exit(main())
