# A small U-Net that a CPU trains in half an hour.
_base_ = ['../_base_/models/additive_unet.py', '../_base_/protocols/nudt_seg.py']
