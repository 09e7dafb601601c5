# The network of SIRST-5K, 8.79 M parameters, under our protocol.
_base_ = ['../_base_/models/nested_unet.py', '../_base_/protocols/nudt_seg.py']
