#!/usr/bin/env python
"""Draw a contact sheet of training samples as the network will see them, after augmentation.

Each sample stands beside its densest cluster, enlarged. Boxes of the dataset are green, pasted ones yellow, the sky
is tinted and outlined in blue.
"""
import argparse


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file whose training set is drawn')
    parser.add_argument('--out', default='contact_sheet.png', help='PNG file to write [contact_sheet.png]')
    parser.add_argument('--count', type=int, default=12, help='number of samples [12]')
    parser.add_argument('--columns', type=int, default=2, help='samples in a row [2]')
    parser.add_argument('--cell', type=int, default=512, help='height of a sample in screen pixels [512]')
    parser.add_argument('--epoch', type=int, default=0, help='epoch whose random draws are shown [0]')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='settings of the config to change')
    return parser.parse_args()


def main() -> None:
    """Parse, then draw."""
    args = parse_args()
    from mmengine.registry import init_default_scope

    from bafenet.engine import cli
    from bafenet.engine.options import load_config
    from bafenet.errors import InputError
    from bafenet.visualization import write_contact_sheet
    with cli.one_line_errors():
        if not args.out.lower().endswith('.png') or min(args.count, args.columns, args.cell) < 1:
            raise InputError('--out must be a .png file, and --count, --columns and --cell at least 1')
        init_default_scope('mmdet')
        cfg = load_config(args.config, args.cfg_options)
        samples = write_contact_sheet(cfg, args.out, args.count, args.columns, args.cell, args.epoch)
        pasted = sum(int(sample.pasted.sum()) for sample in samples)
        present = sum(len(sample.boxes) for sample in samples) - pasted
        print(f'{args.out}: {len(samples)} samples with {present} targets of the dataset and {pasted} pasted ones')


if __name__ == '__main__':
    main()
