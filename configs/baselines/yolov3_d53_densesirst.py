# YOLOv3 on Darknet-53, whose weights were learnt on images in [0, 1], https://arxiv.org/abs/1804.02767.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py', _base_.protocol_model, own_statistics=True)
