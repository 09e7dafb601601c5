#!/usr/bin/env python
"""Draw a contact sheet of training samples as the network will see them, after augmentation.

Each sample stands beside its densest cluster, enlarged. Boxes of the dataset are green, of several classes each in its
colour, pasted ones yellow. Target masks, where the config loads them, are outlined in green, the sky in blue.
"""
import argparse
import sys

from bafenet_command import Parser, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file whose training set is drawn')
    parser.add_argument('--data', metavar='FOLDER', help="draw the training frames of this devkit, or, of a config "
                        "that reads target masks, of this data set [the config's]")
    parser.add_argument('--splits', metavar='NAME', help='with --data: what follows train_ in the name of its list')
    parser.add_argument('--out', default='contact_sheet.png', help='PNG file to write [contact_sheet.png]')
    parser.add_argument('--count', type=whole(1, 10**4), default=12, help='number of samples [12]')
    parser.add_argument('--columns', type=whole(1, 1000), default=2, help='samples in a row [2]')
    parser.add_argument('--cell', type=whole(1, 4096), default=512, help='height of a sample in screen pixels [512]')
    parser.add_argument('--epoch', type=whole(0, 10**6), default=0, help='epoch whose random draws are shown [0]')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='settings of the config to change')
    args = parser.parse_args(argv)
    if args.splits and not args.data:
        parser.error('--splits is for --data; of a config give its splits by --cfg-options splits=NAME')
    return args


@tool()
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = parse_args(argv)
    from functools import partial

    from mmengine.registry import init_default_scope

    from bafenet.engine.options import load_config
    from bafenet.engine.own_training import shown_settings
    from bafenet.errors import printable
    from bafenet.visualization.browse import write_contact_sheet
    init_default_scope('mmdet')
    own = [('--data', partial(shown_settings, root=args.data, splits=args.splits))] if args.data else []
    cfg = load_config(args.config, args.cfg_options, needs=['train_dataloader.dataset'], settings=own)
    samples = write_contact_sheet(cfg, args.out, args.count, args.columns, args.cell, args.epoch)
    pasted = sum(int(sample.pasted.sum()) for sample in samples)
    present = sum(len(sample.boxes) for sample in samples) - pasted
    print(f'{printable(args.out)}: {len(samples)} samples with {present} targets of the dataset and {pasted} pasted '
          'ones')
    return 0


if __name__ == '__main__':
    sys.exit(main())
