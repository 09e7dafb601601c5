"""Convert data sets between formats: VOC, COCO, YOLO, mask images and SIRST folders to a devkit, and labels back."""
